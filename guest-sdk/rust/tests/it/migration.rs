//! Values that older versions of an operator wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_sdk::bindings::exports::weir::operator::operators::OperatorSpec;
use weir_sdk::bindings::weir::operator::types::BytesColumn;
use weir_sdk::codec::Codec;
use weir_sdk::harness::Harness;
use weir_sdk::instance::{self, Entry};
use weir_sdk::prelude::*;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Tally {
    count: u64,
    name: String,
}

fn from_count(count: u64) -> Result<Tally> {
    if count > 1_000 { Err(Error::failure("too many")) } else { Ok(Tally { count, name: "unknown".to_owned() }) }
}

fn from_pair((count, name): (u32, String)) -> Result<Tally> {
    Ok(Tally { count: count.into(), name })
}

fn tenfold(number: u64) -> Result<f64> {
    Ok(number as f64 * 10.0)
}

struct Longest;

impl Aggregate for Longest {
    type In = String;
    type Acc = String;
    type Out = usize;

    fn start() -> String {
        String::new()
    }

    fn add(longest: &mut String, text: String) {
        if text.len() > longest.len() {
            *longest = text;
        }
    }

    fn result(longest: &String) -> usize {
        longest.len()
    }
}

fn negative(number: u64) -> Result<i64> {
    number.try_into().map(|number: i64| -number).or_reject("too large")
}

fn words(count: u64) -> Result<String> {
    Ok("x".repeat(usize::try_from(count).or_reject("too many")?))
}

/// Every kind of state, most of them in a later version.
#[derive(Describe)]
#[input(records: keyed)]
#[input(rules: broadcast)]
struct Later {
    #[describe(version = 3, migrate(1 = from_count, 2: Postcard = from_pair))]
    tally: ValueState<Tally>,
    #[describe(name = "items", version = 2, ttl = "1h", migrate(1 = tenfold))]
    list: ListState<f64>,
    #[describe(version = 2, migrate(1 = tenfold))]
    map: MapState<String, f64>,
    #[describe(version = 2, migrate(1 = negative))]
    most: ReducingState<i64, Max>,
    #[describe(version = 2, migrate(1 = words))]
    longest: AggregatingState<Longest>,
    #[describe(version = 2, migrate(1 = tenfold))]
    split: SplitListState<f64>,
    #[describe(version = 2, migrate(1 = tenfold))]
    rules: BroadcastState<String, f64>,
    #[describe(version = 2)]
    forgotten: ValueState<u64>,
    same: ValueState<u64>,
}

impl Operator for Later {
    fn process(&mut self, _record: &Record, out: &mut Output) -> Result {
        let _states = (&self.list, &self.map, &self.most, &self.longest, &self.split, &self.rules);
        let _others = (&self.forgotten, &self.same);
        out.emit(self.tally.get()?.map_or(0, |tally| tally.count))
    }
}

weir_sdk::export!(Later);

fn described() -> OperatorSpec {
    instance::describe(&[Entry::of::<Later, _>()]).remove(0)
}

#[test]
fn versions_and_what_they_migrate_from_are_declared() {
    let spec = described();
    let states: BTreeMap<_, _> = spec.states.iter().map(|state| (state.name.as_str(), state)).collect();
    let property = |state: &str| {
        states[state].properties.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
    };
    assert_eq!((states["tally"].version, property("tally")), (3, vec!["migrates-from: 1,2".to_owned()]));
    assert_eq!((states["items"].version, property("items")), (2, vec!["migrates-from: 1".to_owned()]));
    assert!(states["items"].ttl.is_some());
    assert_eq!((states["forgotten"].version, property("forgotten")), (2, vec!["migrates-from: ".to_owned()]));
    assert_eq!((states["same"].version, property("same")), (1, Vec::new()));
}

fn migrated(state: &str, from_version: u32, values: &[&[u8]]) -> Result<Vec<Vec<u8>>, String> {
    let (mut data, mut offsets) = (Vec::new(), vec![0]);
    for value in values {
        data.extend_from_slice(value);
        offsets.push(u32::try_from(data.len()).expect("few bytes"));
    }
    let values = BytesColumn { data, offsets };
    let column = instance::migrate(&[Entry::of::<Later, _>()], "later", state, from_version, &values)?;
    Ok(column.offsets.windows(2).map(|pair| column.data[pair[0] as usize..pair[1] as usize].to_vec()).collect())
}

#[test]
fn values_of_each_version_are_rewritten_by_its_own_function_and_codec() {
    let (seven, eight) = (7_u64.to_le_bytes(), 8_u64.to_le_bytes());
    let tallies = migrated("tally", 1, &[&seven, &eight]).unwrap();
    let text: Vec<_> = tallies.iter().map(|tally| String::from_utf8_lossy(tally)).collect();
    assert_eq!(text, [r#"{"count":7,"name":"unknown"}"#, r#"{"count":8,"name":"unknown"}"#]);
    let mut pair = Vec::new();
    <Postcard as Codec<(u32, String)>>::encode(&(9, "nine".to_owned()), &mut pair).unwrap();
    assert_eq!(migrated("tally", 2, &[&pair]).unwrap(), [br#"{"count":9,"name":"nine"}"#]);
    assert_eq!(migrated("most", 1, &[&seven]).unwrap(), [(-7_i64).to_le_bytes()]);
    for state in ["items", "map", "split", "rules"] {
        assert_eq!(migrated(state, 1, &[&seven]).unwrap(), [70.0_f64.to_le_bytes()], "{state}");
    }
    assert_eq!(migrated("longest", 1, &[&seven]).unwrap(), [b"xxxxxxx"]);
    assert!(migrated("tally", 1, &[]).unwrap().is_empty());
}

#[test]
fn what_cannot_be_migrated_says_why() {
    assert_eq!(migrated("tally", 1, &[&1_001_u64.to_le_bytes()]).unwrap_err(), "too many");
    assert_eq!(migrated("tally", 1, &[b"abc"]).unwrap_err(), "no u64 of version 1: expected 8 bytes, found 3");
    assert_eq!(migrated("tally", 7, &[b"a"]).unwrap_err(), "there is no migration of state `tally` from version 7");
    assert_eq!(migrated("same", 0, &[b"a"]).unwrap_err(), "state `same` has no migration");
}

#[test]
fn harness_puts_what_an_older_version_wrote() {
    let mut later = Harness::<Later>::new();
    later.put_old("tally", 1, "apple", &7_u64.to_le_bytes());
    assert_eq!(later.send(("apple", "")).take_values(), ["7"]);
    assert_eq!(later.value(|later| &later.tally, "apple").map(|tally| tally.name), Some("unknown".to_owned()));
    assert!(Harness::<Later>::migrated("tally", 1, b"").is_err());
}

#[test]
#[should_panic(expected = "the operator has no value state `nothing`; for elements and entries there is `migrated`")]
fn harness_refuses_to_put_where_there_is_no_value() {
    Harness::<Later>::new().put_bytes("nothing", "apple", b"");
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Before {
    count: u64,
    dropped: Vec<String>,
    kept: Option<u8>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct After {
    kept: Option<u8>,
    #[serde(default)]
    added: BTreeMap<String, u8>,
    optional: Option<String>,
    count: u64,
}

/// Another form of `Before`, as fields of structs and of what is in them come and go.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Event {
    Opened { by: String, at: u64 },
    Closed,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum LaterEvent {
    Opened {
        at: u64,
        #[serde(default)]
        tags: Vec<String>,
    },
    Closed,
    Moved(u8),
}

fn is_read_as<C: Codec<T> + Codec<U>, T, U: PartialEq + std::fmt::Debug>(written: &T, expected: &U) {
    let mut bytes = Vec::new();
    <C as Codec<T>>::encode(written, &mut bytes).expect("it can be encoded");
    assert_eq!(<C as Codec<U>>::decode(&bytes).as_ref(), Ok(expected), "{}", <C as Codec<T>>::name());
}

fn tolerates_other_fields<C>()
where
    C: Codec<Before> + Codec<After> + Codec<Vec<Event>> + Codec<Vec<LaterEvent>>,
{
    let before = || Before { count: 3, dropped: vec!["a".to_owned()], kept: Some(1) };
    let after = After { kept: Some(1), added: BTreeMap::new(), optional: None, count: 3 };
    is_read_as::<C, Before, After>(&before(), &after);
    is_read_as::<C, Before, Before>(&before(), &before());
    let events = vec![Event::Opened { by: "ada".to_owned(), at: 7 }, Event::Closed];
    let later = vec![LaterEvent::Opened { at: 7, tags: Vec::new() }, LaterEvent::Closed];
    is_read_as::<C, Vec<Event>, Vec<LaterEvent>>(&events, &later);
}

#[test]
fn derived_values_in_json_tolerate_added_removed_and_moved_fields() {
    tolerates_other_fields::<Plain>();
    tolerates_other_fields::<Json>();
}

#[test]
fn derived_values_in_messagepack_tolerate_added_removed_and_moved_fields() {
    tolerates_other_fields::<MessagePack>();
    let (mut names, mut text) = (Vec::new(), Vec::new());
    let before = Before { count: 300_000, dropped: vec!["a".to_owned()], kept: Some(1) };
    <MessagePack as Codec<Before>>::encode(&before, &mut names).unwrap();
    <Json as Codec<Before>>::encode(&before, &mut text).unwrap();
    assert!(names.len() < text.len(), "{} bytes of MessagePack, {} of JSON", names.len(), text.len());
}

#[test]
fn a_field_that_is_neither_optional_nor_has_a_default_is_missed_by_name() {
    let error = <Plain as Codec<Before>>::decode(br#"{"count":3}"#).unwrap_err();
    assert!(error.contains("missing field `dropped`"), "{error}");
    let mut bytes = Vec::new();
    <MessagePack as Codec<BTreeMap<String, u64>>>::encode(&BTreeMap::from([("count".into(), 3)]), &mut bytes).unwrap();
    let error = <MessagePack as Codec<Before>>::decode(&bytes).unwrap_err();
    assert!(error.contains("missing field `dropped`"), "{error}");
}

#[test]
fn postcard_tolerates_no_other_fields() {
    let mut bytes = Vec::new();
    <Postcard as Codec<(u64, u64)>>::encode(&(1, 2), &mut bytes).unwrap();
    assert!(<Postcard as Codec<u64>>::decode(&bytes).is_err());
    assert!(<Postcard as Codec<(u64, u64, u64)>>::decode(&bytes).is_err());
}
