//! State that belongs to no key: the instance's lists, and broadcast maps.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

/// Emits values three at a time; what waits for its group is buffered.
#[derive(Describe)]
#[input(lines: unkeyed)]
#[input(keyed: keyed)]
struct Buffer {
    waiting: SplitListState<String>,
    opened_with: UnionListState<u64>,
    #[describe(skip)]
    seen_in_open: usize,
}

impl Operator for Buffer {
    fn open(&mut self, _context: &Context) -> Result {
        self.seen_in_open = self.waiting.get()?.len();
        Ok(())
    }

    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "opened" => return out.emit(self.seen_in_open as u64),
            "note" => return self.opened_with.append(self.seen_in_open as u64),
            "bad" => {
                self.waiting.clear();
                return Err(Error::reject("bad"));
            }
            text => self.waiting.append(text.to_owned())?,
        }
        if self.waiting.get()?.len() == 3 {
            out.emit(self.waiting.get()?.join(" "))?;
            self.waiting.clear();
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        let rest = std::mem::take(self.waiting.get_mut()?);
        out.emit_unkeyed(rest.join(" "))
    }
}

#[test]
fn operator_list_buffers_across_batches_and_instances() {
    let mut buffer = Harness::<Buffer>::new();
    buffer.send_batch(["a", "b"]).replace_instance().send_batch(["c", "d"]);
    assert_eq!(buffer.take_values(), ["a b c"]);
    assert_eq!(buffer.operator_list(|buffer| &buffer.waiting), ["d"]);
    assert_eq!(buffer.finish().take_values(), ["d"]);
    assert!(buffer.operator_list(|buffer| &buffer.waiting).is_empty());
}

#[test]
fn operator_list_is_read_once_and_written_once_a_batch() {
    let mut buffer = Harness::<Buffer>::new();
    buffer.send_batch((0..100).map(|number| Incoming::value(number.to_string())));
    assert_eq!(buffer.take_state_calls(), ["operator.get", "operator.set"]);
    buffer.send("opened");
    assert_eq!(buffer.take_state_calls(), [""; 0]);
    buffer.send("x");
    assert_eq!(buffer.take_state_calls(), ["operator.set"]);
}

#[test]
fn operator_list_is_the_same_whatever_the_key() {
    let mut buffer = Harness::<Buffer>::new();
    let keyed = |key: &str, value: &str| Incoming::value(value).key(key).input("keyed");
    buffer.send_batch([keyed("j", "a"), keyed("k", "b")]).send("c");
    assert_eq!(buffer.take_values(), ["a b c"]);
}

#[test]
fn operator_list_that_a_rejected_record_wrote_is_undone() {
    let mut buffer = Harness::<Buffer>::new();
    buffer.send_batch(["a", "bad", "b"]);
    assert_eq!(buffer.operator_list(|buffer| &buffer.waiting), ["a", "b"]);
    assert_eq!(buffer.reasons(), ["bad"]);
}

#[test]
fn elements_that_are_dealt_out_anew_are_seen_in_open() {
    let mut buffer = Harness::<Buffer>::new();
    buffer.deal(|buffer| &buffer.waiting, ["x".to_owned(), "y".to_owned()]).send_batch(["opened", "note", "z"]);
    assert_eq!(buffer.take_values(), ["2", "x y z"]);
    assert_eq!(buffer.operator_list(|buffer| &buffer.opened_with), [2]);
}

#[derive(Describe)]
struct Early {
    list: SplitListState<u64>,
}

impl Operator for Early {
    fn open(&mut self, _context: &Context) -> Result {
        self.list.append(1)
    }

    fn process(&mut self, _record: &Record, _out: &mut Output) -> Result {
        Ok(())
    }
}

#[test]
#[should_panic(expected = "operator state `list` was written in `open`")]
fn operator_list_cannot_be_written_in_open() {
    let _harness = Harness::<Early>::new();
}

/// Emits the rate of each record's key.
#[derive(Describe)]
#[input(records: keyed)]
#[input(rates: broadcast)]
struct Rates {
    rates: BroadcastState<String, u32, Postcard>,
}

impl Operator for Rates {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        let text = record.text()?;
        if record.input() == "rates" || text == "write" {
            return match text.split_once('=') {
                Some((key, rate)) => self.rates.put(&key.to_owned(), rate.parse().or_reject("no rate")?),
                None => {
                    self.rates.remove(&text.to_owned());
                    Ok(())
                }
            };
        }
        if text == "all" {
            let all = self.rates.entries(Some(&"b".to_owned()), None).collect::<Result<Vec<_>>>()?;
            return out.emit(Json(all));
        }
        out.emit(self.rates.get_or(&record.key_text()?.to_owned(), 1)?)
    }
}

fn rate(text: impl Into<String>) -> Incoming {
    Incoming::value(text.into()).input("rates")
}

#[test]
fn broadcast_map_is_written_for_broadcast_records_and_read_for_all() {
    let mut rates = Harness::<Rates>::new();
    rates.send_batch([rate("a=3"), rate("c=9"), rate("b=5"), rate("a=4")]);
    rates.send_batch([("a", ""), ("z", ""), ("z", "all")]);
    assert_eq!(rates.take_values(), ["4", "1", "[[\"b\",5],[\"c\",9]]"]);
    rates.replace_instance().send_batch([rate("a"), rate("bad=x")]).send(("a", ""));
    assert_eq!((rates.take_values(), rates.reasons().len()), (vec!["1".to_owned()], 1));
    assert_eq!(rates.broadcast(|rates| &rates.rates), [("b".to_owned(), 5), ("c".to_owned(), 9)]);
}

#[test]
fn broadcast_map_is_asked_once_a_batch_for_each_entry() {
    let mut rates = Harness::<Rates>::new();
    rates.send(rate("a=3")).take_state_calls();
    rates.send_batch([("a", ""), ("b", ""), ("a", ""), ("a", "")]);
    assert_eq!(rates.take_state_calls(), ["broadcast.get"; 2]);
}

#[test]
fn broadcast_map_is_read_page_by_page_to_its_end() {
    let mut rates = Harness::<Rates>::new();
    rates.send_batch((0..600).map(|number| rate(format!("k{number:03}={number}")))).take_state_calls();
    rates.send(("k", "all"));
    let all: Vec<(String, u32)> = serde_json::from_str(&rates.take_values()[0]).unwrap();
    assert_eq!(all, (0..600).map(|number| (format!("k{number:03}"), number)).collect::<Vec<_>>());
    assert_eq!(rates.take_state_calls(), ["broadcast.scan"; 3]);
}

#[test]
#[should_panic(expected = "legal only while a batch of a broadcast input is processed")]
fn broadcast_map_cannot_be_written_for_other_records() {
    Harness::<Rates>::new().send(("k", "write"));
}
