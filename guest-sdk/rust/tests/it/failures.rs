//! Rejections, failures and misuse.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

#[derive(Describe)]
struct Fussy {
    sum: ValueState<u64>,
    #[describe(skip)]
    records_in_memory: u64,
}

impl Operator for Fussy {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        self.records_in_memory += 1;
        let number: u64 = record.text()?.parse()?;
        let sum = self.sum.update(|sum| sum + number)?;
        if sum > 100 {
            return Err(Error::reject("more than 100"));
        }
        out.emit(format_args!("{sum} {}", self.records_in_memory))
    }
}

#[test]
fn any_error_makes_its_record_a_dead_letter_and_the_batch_goes_on_without_it() {
    let mut fussy = Harness::<Fussy>::new();
    fussy.send_batch([("k", "1"), ("k", "x"), ("k", "2")]);
    assert_eq!(fussy.take_values(), ["1 1", "3 2"], "the instance was replaced, and the two others came again");
    assert_eq!(fussy.reasons(), ["key `k`: invalid digit found in string"]);
    assert_eq!(fussy.dead_letters()[0].record, Incoming::from(("k", "x")));
}

#[test]
fn rejection_after_a_write_of_state_is_undone_too() {
    let mut fussy = Harness::<Fussy>::new();
    fussy.send_batch([("k", "60"), ("k", "50"), ("k", "40")]);
    assert_eq!(fussy.value(|fussy| &fussy.sum, "k"), Some(100));
    assert_eq!(fussy.reasons(), ["key `k`: more than 100"]);
}

#[derive(Describe)]
#[input(lines: unkeyed, reads(values))]
struct Misuse {
    state: ValueState<u64>,
}

impl Operator for Misuse {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        match record.text()? {
            "key" => out.emit(record.key()),
            "time" => out.emit(format_args!("{:?}", record.timestamp())),
            "state" => out.emit(format_args!("{:?}", self.state.get()?)),
            _ => out.register(Timer::event_time(1)),
        }
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        out.emit("whose key?")
    }
}

#[test]
#[should_panic(expected = "input `lines` does not read its Columns(KEYS)")]
fn column_that_is_not_read_is_not_taken_for_an_empty_one() {
    Harness::<Misuse>::new().send("key");
}

#[test]
#[should_panic(expected = "input `lines` does not read its Columns(TIMESTAMPS)")]
fn event_time_that_is_not_read_is_not_taken_for_none() {
    Harness::<Misuse>::new().send("time");
}

#[test]
#[should_panic(expected = "keyed state `state` was used where there is no current key")]
fn keyed_state_on_an_unkeyed_input_stops_with_its_name() {
    Harness::<Misuse>::new().send("state");
}

#[test]
fn timer_without_a_key_is_a_failure() {
    let mut misuse = Harness::<Misuse>::new();
    misuse.send("timer");
    assert!(misuse.reasons()[0].starts_with("a timer belongs to a key"), "{:?}", misuse.reasons());
}

#[test]
#[should_panic(expected = "in `finish` there is no record to take the key from")]
fn record_like_the_current_one_cannot_be_emitted_in_finish() {
    Harness::<Misuse>::new().finish();
}
