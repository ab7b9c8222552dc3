package weir;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils;
import org.apache.flink.state.benchmark.StateBackendBenchmarkUtils.StateBackendType;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * The accesses to keyed state that Weir's bench {@code state_access} makes, on Flink's own state backends.
 *
 * <p>As in Flink's benchmarks of state: 500,000 keys that have state, maps of ten entries, a hundred values appended at
 * once, the accesses to a whole map counted ten times. Unlike there, what an access is about is read from arrays of
 * primitives, and nothing happens between two accesses, so that Flink's state alone is measured. The collector's
 * threads have the other cores for themselves and are not counted.
 */
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
public class StateAccess {
    static final int KEYS = 500_000;
    static final int ENTRIES = 10;
    static final int VALUES = 100;

    /** A backend, and the keys in an order that is drawn once. */
    @State(Scope.Thread)
    public abstract static class Keyed {
        @Param({"HEAP", "ROCKSDB"})
        public StateBackendType backend;

        KeyedStateBackend<Long> state;
        private final int[] drawn = new Random(1).ints(1 << 20, 0, KEYS).toArray();
        private int at;

        @Setup
        public void open() throws Exception {
            state = StateBackendBenchmarkUtils.createKeyedStateBackend(backend);
            declare();
        }

        @TearDown
        public void close() throws Exception {
            StateBackendBenchmarkUtils.cleanUp(state);
        }

        abstract void declare() throws Exception;

        /** A key that has state. */
        void turn() {
            at = (at + 1) & (drawn.length - 1);
            state.setCurrentKey((long) drawn[at]);
        }

        /** Of as many other keys, the next one: it has no state for the first half of a second, at least. */
        void turnToNew() {
            at = (at + 1) % KEYS;
            state.setCurrentKey((long) KEYS + at);
        }

        long number() {
            return at;
        }
    }

    public static class Values extends Keyed {
        ValueState<Long> value;

        @Override
        void declare() throws Exception {
            value = StateBackendBenchmarkUtils.getValueState(state, new ValueStateDescriptor<>("value", Long.class));
            for (long key = 0; key < KEYS; key++) {
                state.setCurrentKey(key);
                value.update(key);
            }
        }
    }

    public static class Lists extends Keyed {
        private static final ListStateDescriptor<Long> LIST = new ListStateDescriptor<>("list", Long.class);

        ListState<Long> list;
        final List<Long> many = new ArrayList<>();

        @Override
        void declare() throws Exception {
            list = StateBackendBenchmarkUtils.getListState(state, LIST);
            for (long value = 0; value < VALUES; value++) {
                many.add(value);
            }
        }

        /** One value each: what an iteration appends must not weigh on the next. */
        @Setup(Level.Iteration)
        public void fill() throws Exception {
            for (long key = 0; key < KEYS; key++) {
                state.setCurrentKey(key);
                list.update(List.of(key));
                state.setCurrentKey(KEYS + key);
                list.clear();
            }
            if (!StateBackendBenchmarkUtils.compactState(state, LIST)) {
                System.gc();
            }
        }
    }

    public static class Maps extends Keyed {
        MapState<Long, Double> map;
        final Map<Long, Double> all = new HashMap<>();

        @Override
        void declare() throws Exception {
            map = StateBackendBenchmarkUtils.getMapState(
                    state, new MapStateDescriptor<>("map", Long.class, Double.class));
            for (long entry = 0; entry < ENTRIES; entry++) {
                all.put(entry, 0.5);
            }
            for (long key = 0; key < KEYS; key++) {
                state.setCurrentKey(key);
                map.putAll(all);
            }
        }

        long entry() {
            return number() % ENTRIES;
        }
    }

    @Benchmark
    public void valueUpdate(Values on) throws Exception {
        on.turn();
        on.value.update(on.number());
    }

    @Benchmark
    public void valueAdd(Values on) throws Exception {
        on.turnToNew();
        on.value.update(on.number());
    }

    @Benchmark
    public Long valueGet(Values on) throws Exception {
        on.turn();
        return on.value.value();
    }

    @Benchmark
    public void listUpdate(Lists on) throws Exception {
        on.turn();
        on.list.update(List.of(on.number()));
    }

    @Benchmark
    public void listAdd(Lists on) throws Exception {
        on.turnToNew();
        on.list.update(List.of(on.number()));
    }

    @Benchmark
    public void listAppend(Lists on) throws Exception {
        on.turn();
        on.list.add(on.number());
    }

    @Benchmark
    public Iterable<Long> listGet(Lists on) throws Exception {
        on.turn();
        return on.list.get();
    }

    @Benchmark
    public void listGetAndIterate(Lists on, Blackhole sink) throws Exception {
        on.turn();
        for (Long value : on.list.get()) {
            sink.consume(value);
        }
    }

    @Benchmark
    public void listAddAll(Lists on) throws Exception {
        on.turn();
        on.list.addAll(on.many);
    }

    @Benchmark
    public void mapUpdate(Maps on) throws Exception {
        on.turn();
        on.map.put(on.entry(), 0.5);
    }

    @Benchmark
    public void mapAdd(Maps on) throws Exception {
        on.turnToNew();
        on.map.put(on.entry(), 0.5);
    }

    @Benchmark
    public Double mapGet(Maps on) throws Exception {
        on.turn();
        return on.map.get(on.entry());
    }

    @Benchmark
    public boolean mapContains(Maps on) throws Exception {
        on.turn();
        return on.map.contains(on.entry() << 1);
    }

    @Benchmark
    public boolean mapIsEmpty(Maps on) throws Exception {
        on.turn();
        return on.map.isEmpty();
    }

    @Benchmark
    @OperationsPerInvocation(ENTRIES)
    public void mapKeys(Maps on, Blackhole sink) throws Exception {
        on.turn();
        for (Long entry : on.map.keys()) {
            sink.consume(entry);
        }
    }

    @Benchmark
    @OperationsPerInvocation(ENTRIES)
    public void mapValues(Maps on, Blackhole sink) throws Exception {
        on.turn();
        for (Double value : on.map.values()) {
            sink.consume(value);
        }
    }

    @Benchmark
    @OperationsPerInvocation(ENTRIES)
    public void mapEntries(Maps on, Blackhole sink) throws Exception {
        on.turn();
        for (Map.Entry<Long, Double> entry : on.map.entries()) {
            sink.consume(entry.getKey());
            sink.consume(entry.getValue());
        }
    }

    @Benchmark
    @OperationsPerInvocation(ENTRIES)
    public void mapIterator(Maps on, Blackhole sink) throws Exception {
        on.turn();
        var entries = on.map.iterator();
        while (entries.hasNext()) {
            var entry = entries.next();
            sink.consume(entry.getKey());
            sink.consume(entry.getValue());
        }
    }

    @Benchmark
    public void mapRemove(Maps on) throws Exception {
        on.turn();
        on.map.remove(on.entry());
    }

    @Benchmark
    public void mapPutAll(Maps on) throws Exception {
        on.turn();
        on.map.putAll(on.all);
    }
}
