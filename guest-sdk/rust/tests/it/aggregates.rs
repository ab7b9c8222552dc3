//! Reducing and aggregating state over value state, and defaults.

use weir_sdk::harness::Harness;
use weir_sdk::prelude::*;

struct Mean;

impl Aggregate for Mean {
    type In = u64;
    type Acc = (u64, u64);
    type Out = u64;

    fn start() -> (u64, u64) {
        (0, 0)
    }

    fn add((sum, count): &mut (u64, u64), value: u64) {
        *sum += value;
        *count += 1;
    }

    fn result((sum, count): &(u64, u64)) -> u64 {
        sum / count
    }
}

#[derive(Describe)]
struct Figures {
    least: ReducingState<u64, Min>,
    greatest: ReducingState<u64, Max, Postcard>,
    mean: AggregatingState<Mean>,
}

impl Operator for Figures {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "look" => {
                let (least, greatest) = (self.least.get()?.copied(), self.greatest.get()?.copied());
                out.emit(format_args!("{least:?} {greatest:?} {:?}", self.mean.get()?))
            }
            "take" => {
                let (least, greatest) = (self.least.take()?, self.greatest.take()?);
                out.emit(format_args!("{least:?} {greatest:?} {:?}", self.mean.take()?))
            }
            "clear" => {
                self.least.clear();
                self.greatest.clear();
                self.mean.clear();
                Ok(())
            }
            number => {
                let number = number.parse().or_reject("no number")?;
                let least = *self.least.add(number)?;
                let greatest = *self.greatest.add(number)?;
                out.emit(format_args!("{least} {greatest} {}", self.mean.add(number)?))
            }
        }
    }
}

#[test]
fn reducing_and_aggregating_state_take_in_each_value_of_their_key() {
    let mut figures = Harness::<Figures>::new();
    figures.send_batch([("k", "look"), ("k", "5"), ("k", "1"), ("j", "9"), ("k", "9"), ("k", "look")]);
    assert_eq!(
        figures.take_values(),
        ["None None None", "5 5 5", "1 5 3", "9 9 9", "1 9 5", "Some(1) Some(9) Some(5)"]
    );
    assert_eq!(figures.reduced(|figures| &figures.least, "k"), Some(1));
    assert_eq!(figures.aggregated(|figures| &figures.mean, "j"), Some(9));
    figures.replace_instance().send_batch([("k", "0"), ("k", "take"), ("k", "look"), ("k", "7")]);
    assert_eq!(figures.take_values(), ["0 9 3", "Some(0) Some(9) Some(3)", "None None None", "7 7 7"]);
    figures.send_batch([("k", "clear"), ("k", "look")]);
    assert_eq!(figures.take_values(), ["None None None"]);
    assert_eq!(figures.reduced(|figures| &figures.greatest, "k"), None);
}

#[test]
fn aggregates_of_a_batch_cost_one_load_and_one_store_each() {
    let mut figures = Harness::<Figures>::new();
    figures.send_batch(
        (0..100)
            .map(|number| ("k", number.to_string()))
            .map(|(key, value)| weir_sdk::harness::Incoming::value(value).key(key)),
    );
    assert_eq!(figures.take_state_calls(), [["value.load"; 3], ["value.store"; 3]].concat());
}

#[derive(Describe)]
struct FiguresBatch {
    sum: ReducingState<u64, Sum>,
    mean: AggregatingState<Mean>,
}

impl BatchOperator for FiguresBatch {
    fn process(&mut self, batch: &Batch, out: &mut BatchOutput) -> Result {
        let numbers: Vec<u64> =
            batch.values().iter().map(|value| value.map_or(0, |value| value.len() as u64)).collect();
        let sums = self.sum.add_each(batch.key_of(), numbers.iter().copied())?;
        let means = self.mean.add_each(batch.key_of(), numbers)?;
        let mut results = ColumnBuilder::new();
        for (sum, mean) in sums.iter().zip(&means) {
            results.push_payload(&format!("{sum:?} {mean:?}"))?;
        }
        let keys = (0..u32::try_from(sums.len()).expect("few keys")).collect();
        out.emit(Port::MAIN, Origin::Keys(keys), &mut results);
        Ok(())
    }
}

#[test]
fn batch_form_takes_in_columns_and_writes_only_the_keys_that_stand_there() {
    let mut figures = Harness::<FiguresBatch>::new();
    figures.send_batch([("a", "xx"), ("b", "x"), ("a", "xxxx")]);
    assert_eq!(figures.take_values(), ["Some(6) Some(3)", "Some(1) Some(1)"]);
    assert_eq!(figures.take_state_calls(), ["value.load", "value.store-some", "value.load", "value.store-some"]);
    figures.send(("a", ""));
    assert_eq!(figures.take_values(), ["Some(6) Some(2)"]);
    assert_eq!(figures.reduced(|figures| &figures.sum, "b"), Some(1));
}

#[derive(Describe)]
struct Stock {
    left: ValueState<i64>,
    places: MapState<String, i64>,
}

impl Operator for Stock {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "look" => out.emit(self.left.get_or(100)?),
            "sell" => {
                *self.left.or_insert(100)? -= 1;
                Ok(())
            }
            place => out.emit(self.places.get_or(&place.to_owned(), -1)?),
        }
    }
}

#[test]
fn default_stands_where_there_is_no_value_and_looking_writes_none() {
    let mut stock = Harness::<Stock>::new();
    stock.send_batch([("k", "look"), ("k", "shelf"), ("j", "look")]);
    assert_eq!(stock.take_values(), ["100", "-1", "100"]);
    assert_eq!(stock.value(|stock| &stock.left, "k"), None);
    stock.send_batch([("k", "sell"), ("k", "look"), ("j", "look")]);
    assert_eq!(stock.take_values(), ["99", "100"]);
    assert_eq!((stock.value(|stock| &stock.left, "k"), stock.value(|stock| &stock.left, "j")), (Some(99), None));
}
