//! The batch form: columns in, columns out.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

#[derive(Describe)]
#[input(records: keyed, reads(keys, values))]
struct Count {
    count: ValueState<u64>,
    log: ListState<u32>,
    small: Port,
}

impl BatchOperator for Count {
    fn process(&mut self, batch: &Batch, out: &mut BatchOutput) -> Result {
        let mut counts = self.count.load_or_default()?;
        let mut results = ColumnBuilder::new();
        let mut rejected = Vec::new();
        for (row, (&key, value)) in (0..).zip(batch.key_of().iter().zip(batch.values().iter())) {
            match value {
                None => rejected.push(row),
                Some(b"bad") => return Err(Error::failure_of_rows(vec![row], "bad value")),
                Some(_) => counts[key as usize] += 1,
            }
            results.push_payload(&format_args!("{}", counts[key as usize]))?;
        }
        self.count.store(&counts)?;
        let keys: Vec<u32> = (0..).take(batch.key_count()).collect();
        self.log.append_many(&keys, &vec![u32::try_from(batch.rows())?; keys.len()])?;
        out.emit(Port::MAIN, Origin::EachRow, &mut results);
        out.reject(&rejected, "a deletion");
        out.forward(self.small, &[0]);
        out.register(TimeDomain::EventTime, &[0], &[10], 3);
        Ok(())
    }

    fn on_timers(&mut self, timers: &Timers, out: &mut BatchOutput) -> Result {
        let counts = self.count.load()?;
        let lists = self.log.load_some(timers.key_of())?;
        let mut results = ColumnBuilder::new();
        for (index, &key) in timers.key_of().iter().enumerate() {
            let (count, log) = (counts[key as usize], &lists[index]);
            results.push_payload(&format_args!("{count:?} {log:?} {}", timers.tags()[index]))?;
        }
        self.count.store_some(timers.key_of(), &vec![None; timers.len()])?;
        out.emit(Port::MAIN, Origin::EachRow, &mut results);
        Ok(())
    }
}

#[test]
fn state_is_one_column_in_and_one_out() {
    let mut count = Harness::<Count>::new();
    count.send_batch([("a", ""), ("b", ""), ("a", "")]);
    assert_eq!(count.take_state_calls(), ["value.load", "value.store", "list.append-many"]);
    let emitted: Vec<_> = count.take().into_iter().map(|r| (r.port, r.key_text(), r.value_text())).collect();
    let expected = [("out", "a", "1"), ("out", "b", "1"), ("out", "a", "2"), ("small", "a", "")];
    assert_eq!(emitted, expected.map(|(port, key, value)| (port, key.to_owned(), value.to_owned())));
}

#[test]
fn timers_come_as_columns_too() {
    let mut count = Harness::<Count>::new();
    count.send_batch([("a", ""), ("a", "")]).send(("a", "")).take();
    assert_eq!(count.advance_watermark(10).take_values(), ["Some(3) [2, 1] 3"]);
    assert_eq!(count.value(|count| &count.count, "a"), None);
}

#[test]
fn rejections_keep_the_batch_and_failures_name_their_rows() {
    let mut count = Harness::<Count>::new();
    count.send_batch([Incoming::from(("a", "")), Incoming::deletion().key("a"), Incoming::from(("a", "bad"))]);
    assert_eq!(count.reasons(), ["key `a`: bad value", "a deletion"]);
    assert_eq!(count.value(|count| &count.count, "a"), Some(1));
}

#[test]
fn undecodable_state_blames_the_rows_of_its_key() {
    let mut count = Harness::<Count>::new();
    count.put_bytes("count", "b", b"?").send_batch([("a", ""), ("b", ""), ("b", ""), ("a", "")]);
    assert_eq!(count.reasons(), ["key `b`: state `count` holds no u64: expected 8 bytes, found 1"; 2]);
    assert_eq!(count.value(|count| &count.count, "a"), Some(2));
}

#[derive(Describe)]
#[input(records: keyed, reads())]
struct Last {
    rows: MapState<u8, u64>,
}

impl BatchOperator for Last {
    fn process(&mut self, batch: &Batch, out: &mut BatchOutput) -> Result {
        let mut results = ColumnBuilder::new();
        let entries: Vec<_> = (0..).take(batch.rows()).map(|row: u8| row % 2).collect();
        for held in self.rows.load_some(batch.key_of(), &entries)? {
            results.push_payload(&format_args!("{held:?}"))?;
        }
        let values: Vec<_> = (0..).take(batch.rows()).map(|row: u64| (row < 3).then_some(row)).collect();
        self.rows.store_some(batch.key_of(), &entries, &values)?;
        out.emit(Port::MAIN, Origin::EachRow, &mut results);
        Ok(())
    }
}

#[test]
fn entries_of_maps_are_one_column_in_and_one_out() {
    let mut last = Harness::<Last>::new();
    last.send_batch([("a", ""), ("b", ""), ("a", ""), ("b", "")]);
    assert_eq!(last.take_state_calls(), ["map.get-many", "map.put-many"]);
    assert_eq!(last.map(|last| &last.rows, "a"), [(0, 2)], "the last one stays");
    assert_eq!(last.map(|last| &last.rows, "b"), [], "a missing value removes its entry");
    last.take();
    last.send_batch([("a", ""), ("a", "")]);
    let found: Vec<_> = last.take().iter().map(|record| record.value_text().to_owned()).collect();
    assert_eq!(found, ["Some(2)", "None"]);
}
