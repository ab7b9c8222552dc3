//! The next version of `tally`: it keeps all of its state in other forms, and has those of before rewritten.

use weir_sdk::prelude::*;

use crate::LEFT;

/// A number, in a form that is not that of version 1.
type Text = String;

fn text(number: u64) -> Result<Text> {
    Ok(number.to_string())
}

/// What is left counts down in version 1, and up from here on.
fn taken(left: u64) -> Result<i64> {
    (LEFT - left).try_into().or_reject("more was taken than there is")
}

fn of_instance((instance, records): (u32, u64)) -> Result<Vec<u64>> {
    Ok(vec![instance.into(), records])
}

/// Adds numbers in their new form up.
struct Add;

impl Reduce<Text> for Add {
    fn reduce(held: Text, added: Text) -> Text {
        (number(&held) + number(&added)).to_string()
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("only numbers are written")
}

/// Counts the same again.
struct Tally;

impl Aggregate for Tally {
    type In = ();
    type Acc = Text;
    type Out = u64;

    fn start() -> Text {
        "0".to_owned()
    }

    fn add(acc: &mut Text, (): ()) {
        *acc = (number(acc) + 1).to_string();
    }

    fn result(acc: &Text) -> u64 {
        number(acc)
    }
}

/// Counts by key in every way there is, and goes on with what version 1 holds.
#[derive(Describe)]
#[describe(name = "tally-later")]
#[input(records: keyed)]
#[input(rules: broadcast)]
pub(crate) struct Later {
    #[describe(version = 2, migrate(1 = text))]
    sum: ReducingState<Text, Add>,
    greatest: ReducingState<u64, Max>,
    #[describe(version = 2, migrate(1 = text))]
    tally: AggregatingState<Tally>,
    #[describe(version = 2, migrate(1 = taken))]
    left: ValueState<i64>,
    #[describe(version = 2, migrate(1 = text))]
    seen: ListState<Text>,
    #[describe(version = 2, migrate(1 = text))]
    last: MapState<u64, Text>,
    #[describe(version = 2, migrate(1 = text))]
    records: SplitListState<Text>,
    #[describe(version = 2, migrate(1 = of_instance))]
    by_instance: UnionListState<Vec<u64>, Postcard>,
    #[describe(version = 2, migrate(1 = text))]
    rules: BroadcastState<String, Text>,
    #[describe(skip)]
    instance: u64,
}

impl Operator for Later {
    fn open(&mut self, context: &Context) -> Result {
        self.instance = context.subtask.into();
        Ok(())
    }

    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        if record.input() == "rules" {
            return self.rules.put(&record.text()?.to_owned(), "1".to_owned());
        }
        let count = number(self.sum.add("1".to_owned())?);
        *self.left.or_default()? += 1;
        let left = self.left.get_or(0)?;
        self.seen.append(count.to_string())?;
        self.last.put(&(count % 5), count.to_string());
        let seen = self.seen.get()?;
        let in_order = seen.iter().zip(1..).all(|(seen, count)| number(seen) == count);
        let agree =
            self.tally.add(())? == count && *self.greatest.add(count)? == count && i64::try_from(count) == Ok(left);
        let listed = u64::try_from(seen.len()) == Ok(count) && in_order;
        let before = (count - 1) % 5;
        let last = count < 2 || self.last.get(&before)?.is_some_and(|last| number(last) == count - 1);
        self.note()?;
        if !(agree && listed && last) {
            return Err(Error::failure("the counts do not agree"));
        }
        out.emit(format_args!("{}\t{count}", record.key_text()?))
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        let records = self.records.get()?.iter().map(|records| number(records)).sum::<u64>();
        out.emit_unkeyed(format_args!("!records\t{records}"))?;
        let union = self.by_instance.get()?.iter().map(|own| own[1]).sum::<u64>();
        out.emit_unkeyed(format_args!("!union\t{union}"))?;
        let rules = self.rules.entries(None, None).collect::<Result<Vec<_>>>()?;
        out.emit_unkeyed(format_args!("!rules\t{}", rules.iter().map(|(_, one)| number(one)).sum::<u64>()))
    }
}

impl Later {
    /// The instance has had one more record.
    fn note(&mut self) -> Result {
        let records = self.records.get_mut()?;
        let had = records.pop().map_or(0, |records| number(&records));
        records.push((had + 1).to_string());
        let instance = self.instance;
        let by_instance = self.by_instance.get_mut()?;
        match by_instance.iter_mut().find(|own| own[0] == instance) {
            Some(own) => own[1] += 1,
            None => by_instance.push(vec![instance, 1]),
        }
        Ok(())
    }
}
