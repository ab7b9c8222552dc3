//! `tally` counts by key, in four ways that must agree, lists the counts (and the last ones in a map), and keeps what
//! belongs to no key: how many records the instance has had (a split list, and a union list with the instance's index), and
//! every rule (a broadcast map). `tally-later` is its next version, which keeps nearly all of that in other forms.
//!
//! For each record it emits `KEY<TAB>COUNT`; at the end `!records<TAB>N`, `!union<TAB>N` and `!rules<TAB>N`.

mod later;

use later::Later;
use weir_sdk::prelude::*;

/// Counts by adding nothing up.
struct Tally;

impl Aggregate for Tally {
    type In = ();
    type Acc = u64;
    type Out = u64;

    fn start() -> u64 {
        0
    }

    fn add(acc: &mut u64, (): ()) {
        *acc += 1;
    }

    fn result(acc: &u64) -> u64 {
        *acc
    }
}

/// Counts by key, in every way there is.
#[derive(Describe)]
#[describe(name = "tally")]
#[input(records: keyed)]
#[input(rules: broadcast)]
struct Count {
    sum: ReducingState<u64, Sum>,
    greatest: ReducingState<u64, Max>,
    tally: AggregatingState<Tally>,
    left: ValueState<u64>,
    seen: ListState<u64>,
    last: MapState<u64, u64>,
    records: SplitListState<u64>,
    by_instance: UnionListState<(u32, u64)>,
    rules: BroadcastState<String, u64>,
    #[describe(skip)]
    instance: u32,
}

/// How many are left of each key at first.
const LEFT: u64 = 1 << 40;

impl Operator for Count {
    fn open(&mut self, context: &Context) -> Result {
        self.instance = context.subtask;
        // What is there can be seen already.
        let records = self.records.get()?.iter().sum::<u64>();
        let own = self.by_instance.get()?.iter().find(|(instance, _)| *instance == self.instance);
        if own.map_or(0, |(_, records)| *records) != records {
            return Err(Error::failure("the lists do not agree"));
        }
        Ok(())
    }

    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        if record.input() == "rules" {
            return self.rules.put(&record.text()?.to_owned(), 1);
        }
        let count = *self.sum.add(1)?;
        *self.left.or_insert(LEFT)? -= 1;
        let left = self.left.get_or(LEFT)?;
        self.seen.append(count)?;
        self.last.put(&(count % 5), count);
        let agree = self.tally.add(())? == count && *self.greatest.add(count)? == count && LEFT - left == count;
        self.note()?;
        if !agree {
            return Err(Error::failure("the counts do not agree"));
        }
        out.emit(format_args!("{}\t{count}", record.key_text()?))
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        let records = self.records.get()?.iter().sum::<u64>();
        out.emit_unkeyed(format_args!("!records\t{records}"))?;
        let union = self.by_instance.get()?.iter().map(|(_, records)| records).sum::<u64>();
        out.emit_unkeyed(format_args!("!union\t{union}"))?;
        let rules = self.rules.entries(None, None).collect::<Result<Vec<_>>>()?;
        out.emit_unkeyed(format_args!("!rules\t{}", rules.iter().map(|(_, one)| one).sum::<u64>()))
    }
}

impl Count {
    /// The instance has had one more record.
    fn note(&mut self) -> Result {
        let records = self.records.get_mut()?;
        match records.last_mut() {
            Some(records) => *records += 1,
            None => records.push(1),
        }
        let instance = self.instance;
        let by_instance = self.by_instance.get_mut()?;
        match by_instance.iter_mut().find(|(other, _)| *other == instance) {
            Some((_, records)) => *records += 1,
            None => by_instance.push((instance, 1)),
        }
        Ok(())
    }
}

weir_sdk::export!(Count, Later);

#[cfg(test)]
mod tests;
