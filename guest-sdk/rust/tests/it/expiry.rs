//! State with a time to live, in the harness: what the host does to it, at the latest moment that it may.

use weir_sdk::harness::Harness;
use weir_sdk::prelude::*;

/// Everything here lives 100 ms from its last write.
#[derive(Describe)]
struct Written {
    #[describe(ttl = "100ms")]
    value: ValueState<String>,
    #[describe(ttl = "100ms")]
    list: ListState<String>,
    #[describe(ttl = "100ms")]
    map: MapState<String, u8>,
    forever: ValueState<u8>,
}

/// And here from its last write or read.
#[derive(Describe)]
struct Read {
    #[describe(ttl = "100ms", refresh_on_read)]
    value: ValueState<String>,
    #[describe(ttl = "100ms", refresh_on_read, return_expired)]
    list: ListState<String>,
    #[describe(ttl = "100ms", refresh_on_read)]
    map: MapState<String, u8>,
    forever: ValueState<u8>,
}

/// Both do the same: `+x` writes, `?` shows everything, `?x` looks at one entry, `empty?` whether there is any, `!` fails
/// after it has shown everything.
macro_rules! operator {
    ($name:ident) => {
        impl Operator for $name {
            fn process(&mut self, record: &Record, out: &mut Output) -> Result {
                let text = record.text()?;
                if let Some(word) = text.strip_prefix('+') {
                    self.value.set(word.to_owned());
                    self.map.put(&word.to_owned(), 1);
                    self.forever.set(1);
                    return self.list.append(word.to_owned());
                }
                if text == "empty?" {
                    return out.emit(format_args!("{}", self.map.is_empty()?));
                }
                if let Some(entry) = text.strip_prefix('?').filter(|entry| !entry.is_empty()) {
                    return out.emit(format_args!("{}", self.map.get(&entry.to_owned())?.is_some()));
                }
                let entries: Vec<_> = self.map.entries(None, None)?.collect::<Result<_>>()?;
                let entries: Vec<_> = entries.into_iter().map(|(entry, _)| entry).collect();
                let value = self.value.get()?.cloned().unwrap_or_default();
                out.emit(format_args!("{value} | {} | {}", self.list.get()?.join(" "), entries.join(" ")))?;
                if text == "!" { Err(Error::failure("told to")) } else { Ok(()) }
            }
        }
    };
}

operator!(Written);
operator!(Read);

fn at<O: Describe>(harness: &mut Harness<O>, now: i64, text: &str) -> String {
    harness.advance_processing_time(now).send(("k", text)).take_values().concat()
}

#[test]
fn value_element_and_entry_expire_each_for_itself() {
    let mut written = Harness::<Written>::new();
    at(&mut written, 0, "+x");
    at(&mut written, 60, "+y");
    assert_eq!(at(&mut written, 99, "?"), "y | x y | x y");
    assert_eq!(at(&mut written, 100, "?"), "y | y | y");
    assert_eq!(at(&mut written, 100, "?x"), "false");
    assert_eq!(at(&mut written, 159, "?"), "y | y | y");
    assert_eq!(at(&mut written, 160, "?"), " |  | ");
    assert_eq!(at(&mut written, 160, "empty?"), "true");
    assert_eq!(written.value(|written| &written.forever, "k"), Some(1), "it has no time to live");
}

#[test]
fn peek_sees_no_more_of_what_has_expired_than_the_operator() {
    let mut written = Harness::<Written>::new();
    at(&mut written, 0, "+x");
    written.advance_processing_time(100);
    assert_eq!(written.value(|written| &written.value, "k"), None);
    assert!(written.list(|written| &written.list, "k").is_empty());
    assert!(written.map(|written| &written.map, "k").is_empty());
}

#[test]
fn a_write_makes_live_longer_and_a_read_does_not() {
    let mut written = Harness::<Written>::new();
    at(&mut written, 0, "+x");
    assert_eq!(at(&mut written, 90, "?"), "x | x | x");
    assert_eq!(at(&mut written, 100, "?"), " |  | ");
    at(&mut written, 110, "+x");
    at(&mut written, 150, "+x");
    assert_eq!(
        at(&mut written, 210, "?"),
        "x | x | x",
        "the value and the entry were written again, an element is another"
    );
    assert_eq!(at(&mut written, 250, "?"), " |  | ");
}

#[test]
fn a_read_makes_live_longer_where_that_is_declared() {
    let mut read = Harness::<Read>::new();
    at(&mut read, 0, "+x");
    at(&mut read, 50, "+y");
    assert_eq!(at(&mut read, 90, "?"), "y | x y | x y");
    assert_eq!(at(&mut read, 189, "?x"), "true");
    assert_eq!(at(&mut read, 190, "?"), " |  | x", "of a map, what was looked at");
    assert_eq!(at(&mut read, 289, "empty?"), "false");
    assert_eq!(at(&mut read, 300, "?"), " |  | x", "that looks at the first entry");
}

#[test]
fn what_has_expired_is_neither_shown_nor_revived_though_the_host_may_show_it() {
    let mut read = Harness::<Read>::new();
    at(&mut read, 0, "+x");
    assert_eq!(at(&mut read, 100, "?"), " |  | ");
    at(&mut read, 120, "+y");
    assert_eq!(at(&mut read, 150, "?"), "y | y | y");
}

#[test]
fn a_read_whose_call_failed_refreshes_nothing() {
    let mut read = Harness::<Read>::new();
    at(&mut read, 0, "+x");
    at(&mut read, 90, "!");
    assert_eq!(read.reasons(), ["key `k`: told to"]);
    assert_eq!(at(&mut read, 100, "?"), " |  | ");
}

#[test]
fn what_a_test_puts_lives_from_then_on() {
    let mut written = Harness::<Written>::new();
    written.advance_processing_time(50).put_bytes("value", "k", b"old");
    assert_eq!(at(&mut written, 149, "?"), "old |  | ");
    assert_eq!(at(&mut written, 150, "?"), " |  | ");
}
