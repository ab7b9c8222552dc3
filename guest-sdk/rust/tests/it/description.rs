//! What an operator says of itself, and how it is opened.

use std::collections::BTreeMap;

use serde::Deserialize;
use weir_sdk::bindings::exports::weir::operator::operators::{InputKind, OperatorSpec, StateKind};
use weir_sdk::describe::Columns;
use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::instance::{self, Entry};
use weir_sdk::prelude::*;

/// Joins orders
/// with payments.
#[derive(Describe)]
#[input(orders: keyed)]
#[input(payments: keyed, reads(values))]
#[input(rates: broadcast, reads())]
struct JoinOrders {
    config: Config<JoinConfig>,
    open: ValueState<Vec<u8>>,
    #[describe(name = "paid-at")]
    paid_at: ListState<BTreeMap<String, u64>, Postcard>,
    #[describe(ttl = "36h", refresh_on_read, return_expired)]
    by_day: MapState<u32, u64, Json>,
    #[describe(name = "last-rate", ttl = "90s")]
    last_rate: ValueState<u64>,
    unmatched: Port,
    #[describe(skip)]
    greeting: String,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct JoinConfig {
    greeting: String,
}

impl Default for JoinConfig {
    fn default() -> Self {
        Self { greeting: "hello".to_owned() }
    }
}

impl Operator for JoinOrders {
    fn open(&mut self, context: &Context) -> Result {
        self.greeting = format!("{} {}", self.config.greeting, context.subtask);
        Ok(())
    }

    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        let _states = (&self.open, &self.paid_at, &self.by_day, &self.last_rate, self.unmatched);
        out.emit(format_args!("{} {}", self.greeting, record.input()))
    }
}

#[derive(Describe)]
#[describe(name = "plain")]
struct Other;

impl Operator for Other {
    fn process(&mut self, _record: &Record, out: &mut Output) -> Result {
        out.forward()
    }
}

weir_sdk::export!(JoinOrders, Other);

fn described() -> Vec<OperatorSpec> {
    instance::describe(&[Entry::of::<JoinOrders, _>(), Entry::of::<Other, _>()])
}

#[test]
fn struct_is_the_description() {
    let specs = described();
    let join = &specs[0];
    assert_eq!((join.name.as_str(), join.doc.as_str()), ("join-orders", "Joins orders\nwith payments."));
    let inputs: Vec<_> = join.inputs.iter().map(|input| (input.name.as_str(), input.kind, input.columns)).collect();
    assert_eq!(
        inputs,
        [
            ("orders", InputKind::Keyed, Columns::all()),
            ("payments", InputKind::Keyed, Columns::VALUES),
            ("rates", InputKind::Broadcast, Columns::empty()),
        ]
    );
    assert_eq!(join.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["out", "unmatched"]);
    let states: Vec<_> =
        join.states.iter().map(|state| (state.name.as_str(), state.kind, state.codec.as_str())).collect();
    assert_eq!(
        states,
        [
            ("open", StateKind::KeyedValue, "bytes"),
            ("paid-at", StateKind::KeyedList, "postcard"),
            ("by_day", StateKind::KeyedMap, "json"),
            ("last-rate", StateKind::KeyedValue, "u64"),
        ]
    );
    let ttl = |duration_ms, refresh_on_read, return_expired| Some((duration_ms, refresh_on_read, return_expired));
    let lives = join.states.iter().map(|state| state.ttl.as_ref());
    let lives: Vec<_> =
        lives.map(|ttl| ttl.map(|ttl| (ttl.duration_ms, ttl.refresh_on_read, ttl.return_expired))).collect();
    assert_eq!(lives, [None, None, ttl(129_600_000, true, true), ttl(90_000, false, false)]);
}

#[test]
fn operator_without_inputs_has_one_keyed_input_that_reads_everything() {
    let specs = described();
    let other = &specs[1];
    assert_eq!((other.name.as_str(), other.doc.as_str(), other.states.len()), ("plain", "", 0));
    assert_eq!((other.inputs[0].name.as_str(), other.inputs[0].columns), ("in", Columns::all()));
}

#[test]
fn configuration_is_read_when_the_instance_is_opened() {
    let mut join = Harness::<JoinOrders>::new();
    join.send(Incoming::value("").input("payments"));
    assert_eq!(join.take_values(), ["hello 0 payments"]);
    let mut join = Harness::<JoinOrders>::with_config(&serde_json::json!({ "greeting": "good day" }));
    assert_eq!(join.send(("k", "")).take_values(), ["good day 0 orders"]);
}

#[test]
#[should_panic(expected = "`open` failed: config: unknown field `greting`, expected `greeting`")]
fn wrong_configuration_is_refused_with_its_field() {
    let _join = Harness::<JoinOrders>::with_config(&serde_json::json!({ "greting": "" }));
}

#[test]
fn unknown_operator_is_refused_with_those_there_are() {
    let context = Context {
        operator_name: "jion-orders".to_owned(),
        config: String::new(),
        job: "job".to_owned(),
        subtask: 0,
        parallelism: 1,
        seed: 0,
        properties: Vec::new(),
    };
    let error = instance::open(&[Entry::of::<JoinOrders, _>(), Entry::of::<Other, _>()], &context).unwrap_err();
    assert_eq!(error, "this component has no operator `jion-orders`; it has: join-orders, plain");
}
