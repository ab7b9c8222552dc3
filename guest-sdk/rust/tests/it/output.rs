//! What is emitted, where it goes and what it carries.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

#[derive(Describe)]
struct Router {
    late: Port,
    #[describe(name = "too-big")]
    too_big: Port,
    seen: Counter,
    size: Gauge,
    sizes: Histogram,
}

impl Operator for Router {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        self.seen.add(1);
        let bytes = record.value().map_or(0, <[u8]>::len);
        self.size.set(f64::from(u32::try_from(bytes)?));
        self.sizes.record(f64::from(u32::try_from(bytes)?));
        match record.value() {
            None => out.send(&Emission::deletion()),
            Some(b"late") => out.emit_to(self.late, "late"),
            Some(b"big") => out.forward_to(self.too_big),
            Some(b"pass") => out.forward(),
            Some(b"mixed") => {
                out.emit("one")?;
                out.emit_keyed("own", "two")?;
                out.emit_unkeyed("three")?;
                out.send(&Emission::value("four").at(77).header("h", "1"))?;
                out.forward()
            }
            Some(b"undo") => {
                out.emit("lost")?;
                out.emit_keyed("lost", "lost")?;
                out.register(Timer::event_time(1))?;
                Err(Error::reject("undone"))
            }
            Some(text) => {
                weir_sdk::info!("{} bytes", text.len());
                out.emit([record.header("prefix").unwrap_or_default(), text].concat())
            }
        }
    }

    fn finish(&mut self, out: &mut Output) -> Result {
        out.emit_keyed("end", "keyed")?;
        out.emit_unkeyed("unkeyed")
    }
}

fn summary(router: &mut Harness<Router>) -> Vec<(&'static str, String, String, Option<i64>)> {
    let record =
        |record: &weir_sdk::harness::Emitted| (record.port, record.key_text(), record.value_text(), record.timestamp);
    router.take().iter().map(record).collect()
}

#[test]
fn record_keeps_key_event_time_and_headers_unless_it_says_otherwise() {
    let mut router = Harness::<Router>::new();
    router.send(Incoming::value("mixed").key("k").at(5).header("prefix", ">"));
    let emitted = router.take();
    let row = |index: usize| {
        (emitted[index].key_text(), emitted[index].value_text(), emitted[index].timestamp, emitted[index].headers.len())
    };
    assert_eq!(row(0), ("k".into(), "one".into(), Some(5), 1));
    assert_eq!(row(1), ("own".into(), "two".into(), Some(5), 0));
    assert_eq!((row(2), &emitted[2].key), ((String::new(), "three".into(), Some(5), 0), &None));
    assert_eq!((row(3), &emitted[3].headers[0].0[..]), (("k".into(), "four".into(), Some(77), 1), "h"));
    assert_eq!(row(4), ("k".into(), "mixed".into(), Some(5), 1));
}

#[test]
fn records_of_one_batch_keep_each_its_own_event_time() {
    let mut router = Harness::<Router>::new();
    router.send_batch([Incoming::value("mixed").key("a").at(1), Incoming::value("mixed").key("b")]);
    let times: Vec<_> = summary(&mut router).into_iter().filter(|row| row.2 == "two").map(|row| row.3).collect();
    assert_eq!(times, [Some(1), None]);
}

#[test]
fn side_outputs_are_known_by_the_names_of_their_fields() {
    let mut router = Harness::<Router>::new();
    router.send_batch([("k", "late"), ("k", "big"), ("k", "pass")]);
    let ports: Vec<_> = router.take().into_iter().map(|record| (record.port, record.value_text())).collect();
    let expected = [("out", "pass"), ("late", "late"), ("too-big", "big")].map(|(port, text)| (port, text.to_owned()));
    assert_eq!(ports, expected);
}

#[test]
fn rejected_record_leaves_nothing_behind_and_the_others_stay() {
    let mut router = Harness::<Router>::new();
    router.send_batch([("k", "mixed"), ("k", "undo"), ("k", "a"), ("k", "undo"), ("k", "b")]);
    let values: Vec<_> = router.take_values();
    assert_eq!(values, ["one", "two", "three", "four", "mixed", "a", "b"]);
    assert!(router.timers("k").is_empty());
    assert_eq!(router.reasons(), ["undone", "undone"]);
}

#[test]
fn deletion_goes_in_and_out_as_a_missing_value() {
    let mut router = Harness::<Router>::new();
    router.send(Incoming::deletion().key("k"));
    assert_eq!(router.take()[0].value, None);
}

#[test]
fn header_is_read_for_its_own_record() {
    let mut router = Harness::<Router>::new();
    router.send_batch([Incoming::value("a").header("prefix", "x"), Incoming::value("b"), Incoming::value("c")]);
    assert_eq!(router.take_values(), ["xa", "b", "c"]);
}

#[test]
fn what_is_emitted_in_finish_has_a_key_of_its_own_or_none() {
    let mut router = Harness::<Router>::new();
    router.finish();
    let expected = [("out", "end", "keyed"), ("out", "", "unkeyed")];
    assert_eq!(summary(&mut router), expected.map(|(port, key, value)| (port, key.to_owned(), value.to_owned(), None)));
}

#[test]
fn logs_and_metrics_reach_the_host() {
    let mut router = Harness::<Router>::new();
    router.send_batch([("k", "ab"), ("k", "abc")]);
    assert_eq!(router.logs().iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["2 bytes", "3 bytes"]);
    assert_eq!((router.counter("seen"), router.gauge("size")), (2, Some(3.0)));
    assert_eq!(router.histogram("sizes"), [2.0, 3.0]);
}

#[derive(Describe)]
struct Large;

impl Operator for Large {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        out.emit(vec![b'x'; 3 << 20])?;
        if record.text()? == "bad" {
            return Err(Error::reject("bad"));
        }
        Ok(())
    }
}

#[test]
fn large_outputs_leave_between_records_and_rejections_still_undo_their_own() {
    let mut large = Harness::<Large>::new();
    large.send_batch(["a", "b", "bad", "c", "bad", "d"].map(|text| ("k", text)));
    assert_eq!((large.take_values().len(), large.reasons().len()), (4, 2));
}
