//! State in the record form: read once per batch, written once, undone with its record.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

#[derive(Describe)]
struct Count {
    count: ValueState<u64>,
}

impl Operator for Count {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "look" => out.emit(format_args!("{:?}", self.count.get()?)),
            "clear" => {
                self.count.clear();
                Ok(())
            }
            "take" => out.emit(format_args!("{:?}", self.count.take()?)),
            "touch" => {
                if let Some(count) = self.count.get_mut()? {
                    *count += 100;
                }
                Ok(())
            }
            "set" => {
                self.count.set(7);
                Ok(())
            }
            "bad" => {
                self.count.set(1_000);
                Err(Error::reject("bad"))
            }
            _ => {
                *self.count.or_default()? += 1;
                Ok(())
            }
        }
    }
}

#[test]
fn batch_takes_one_load_and_one_store_however_many_records_it_has() {
    let mut count = Harness::<Count>::new();
    count.send_batch((0..100).map(|i| (["a", "b", "c"][i % 3], "")));
    assert_eq!(count.take_state_calls(), ["value.load", "value.store"]);
    count.send_batch([("a", ""), ("b", "look"), ("a", "")]);
    assert_eq!(count.take_state_calls(), ["value.load", "value.store-some"]);
    assert_eq!(count.value(|count| &count.count, "a"), Some(36));
}

#[test]
fn state_that_is_only_written_is_not_read_and_what_is_only_read_is_not_written() {
    let mut count = Harness::<Count>::new();
    count.send_batch([("a", "set"), ("b", "set")]);
    assert_eq!(count.take_state_calls(), ["value.store"]);
    count.send_batch([("a", "look"), ("b", "look")]);
    assert_eq!(count.take_state_calls(), ["value.load"]);
}

#[test]
fn record_sees_what_earlier_ones_of_its_batch_wrote() {
    let mut count = Harness::<Count>::new();
    let records = ["look", "", "look", "touch", "look", "clear", "look", "set", "take", "look", "touch", "look"];
    count.send_batch(records.map(|record| ("k", record)));
    let seen = ["None", "Some(1)", "Some(101)", "None", "Some(7)", "None", "None"];
    assert_eq!(count.take_values(), seen);
    assert_eq!(count.value(|count| &count.count, "k"), None);
}

#[test]
fn rejected_record_leaves_no_state_behind() {
    let mut count = Harness::<Count>::new();
    count.send_batch([("k", ""), ("k", "bad"), ("k", "")]);
    assert_eq!(count.value(|count| &count.count, "k"), Some(2));
    assert_eq!(count.reasons(), ["key `k`: bad"]);
}

#[test]
fn undecodable_state_blames_the_records_of_its_key_and_names_state_and_key() {
    let mut count = Harness::<Count>::new();
    count.put_bytes("count", "old", b"abc").send_batch([("new", ""), ("old", ""), ("new", "")]);
    assert_eq!(count.reasons(), ["key `old`: state `count` holds no u64: expected 8 bytes, found 3"]);
    assert_eq!(count.value(|count| &count.count, "new"), Some(2));
}

#[derive(Describe)]
struct Basket {
    items: ListState<String>,
}

impl Operator for Basket {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "show" => out.emit(self.items.get()?.join(" ")),
            "empty" => {
                let taken = self.items.take()?;
                out.emit(format_args!("{}", taken.len()))
            }
            "two" => {
                self.items.set(vec!["x".to_owned(), "y".to_owned()]);
                Ok(())
            }
            item => self.items.append(item.to_owned()),
        }
    }
}

#[test]
fn list_appends_without_reading() {
    let mut basket = Harness::<Basket>::new();
    basket.send_batch([("a", "1"), ("b", "2"), ("a", "3")]);
    assert_eq!(basket.take_state_calls(), ["list.append-many"]);
    assert_eq!(basket.list(|basket| &basket.items, "a"), ["1", "3"]);
}

#[test]
fn list_shows_what_its_batch_did_to_it_in_order() {
    let mut basket = Harness::<Basket>::new();
    basket.send(("k", "0"));
    let records = ["1", "show", "2", "show", "two", "3", "show", "empty", "show", "4", "show"];
    basket.send_batch(records.map(|record| ("k", record)));
    assert_eq!(basket.take_values(), ["0 1", "0 1 2", "x y 3", "3", "", "4"]);
    assert_eq!(basket.list(|basket| &basket.items, "k"), ["4"]);
}

#[derive(Describe)]
struct Scores {
    scores: MapState<i64, u32, Postcard>,
}

impl Operator for Scores {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        let text = record.text()?;
        let (word, number) = text.split_once(' ').unwrap_or((text, "0"));
        let entry: i64 = number.parse().or_reject("no number")?;
        match word {
            "add" => *self.scores.or_default(&entry)? += 1,
            "put" => self.scores.put(&entry, 9),
            "remove" => self.scores.remove(&entry),
            "clear" => self.scores.clear(),
            "get" => out.emit(format_args!("{:?}", self.scores.get(&entry)?))?,
            "empty" => out.emit(format_args!("{}", self.scores.is_empty()?))?,
            _ => {
                let entries: Vec<_> = self.scores.entries(Some(&entry), None)?.collect::<Result<_>>()?;
                out.emit(Json(entries))?;
            }
        }
        Ok(())
    }
}

#[test]
fn map_is_ordered_and_shows_what_its_batch_did_to_it() {
    let mut scores = Harness::<Scores>::new();
    scores.send_batch(
        ["empty", "add 5", "add -5", "add 5", "from -9", "from 0", "remove 5", "get 5", "get -5"].map(keyed),
    );
    assert_eq!(scores.take_values(), ["true", "[[-5,1],[5,2]]", "[[5,2]]", "None", "Some(1)"]);
    scores.send_batch(["put 1", "clear", "put 2", "empty"].map(keyed));
    assert_eq!(scores.map(|scores| &scores.scores, "k"), [(2, 9)]);
}

fn keyed(text: &str) -> Incoming {
    Incoming::value(text).key("k")
}

#[test]
fn entries_of_an_empty_map_or_range_are_none() {
    let mut scores = Harness::<Scores>::new();
    scores.send_batch(["from 0", "add 5", "from 6"].map(keyed));
    assert_eq!(scores.take_values(), ["[]", "[]"]);
}

#[test]
fn map_is_read_page_by_page_to_its_end() {
    let mut scores = Harness::<Scores>::new();
    let adds: Vec<String> = (0..600).map(|number| format!("add {number}")).collect();
    scores.send_batch(adds.iter().map(|add| keyed(add)));
    assert_eq!(scores.take_state_calls().iter().filter(|call| **call == "map.put-many").count(), 1);
    scores.send(keyed("from -1"));
    let entries: Vec<(i64, u32)> = serde_json::from_str(&scores.take_values()[0]).unwrap();
    assert_eq!(entries, (0..600).map(|number| (number, 1)).collect::<Vec<_>>());
    assert_eq!(scores.take_state_calls(), ["map.scan"; 3]);
}
