use weir_operator::batch::{BytesColumn, OptionalColumn};

use super::*;

/// Keys a b a; event times 1 5 3; a header `h` on the first two rows.
fn batch() -> Batch {
    let mut header = HeaderColumn { name: "h".to_owned(), ..HeaderColumn::default() };
    [Some(b"h0".as_slice()), Some(b"h1"), None].into_iter().for_each(|value| header.values.push(value));
    Batch {
        rows: 3,
        keys: Some(Keys::encode([b"a".as_slice(), b"b", b"a"])),
        values: values(&["0", "1", "2"]),
        timestamps: vec![1, 5, 3],
        headers: vec![header],
    }
}

fn values(values: &[&str]) -> OptionalColumn {
    values.iter().map(|value| value.as_bytes()).collect::<BytesColumn>().into()
}

fn new(origin: Origin, count: usize) -> Emitted {
    Emitted::New { origin, values: values(&vec!["v"; count]), timestamps: Vec::new(), headers: None }
}

fn resolve(work: &Work, emitted: Emitted) -> Batch {
    Resolver::new(work).resolve(emitted)
}

fn work() -> Work {
    Work::Batch { input: 0, batch: batch() }
}

fn headers(batch: &Batch) -> Vec<Option<&[u8]>> {
    batch.headers.first().map_or_else(Vec::new, |header| header.values.iter().collect())
}

#[test]
fn a_record_for_each_row_is_like_its_row() {
    let resolved = resolve(&work(), new(Origin::EachRow, 3));
    assert_eq!(resolved, Batch { values: values(&["v", "v", "v"]), ..batch() });
}

#[test]
fn a_record_of_a_row_has_its_key_time_and_headers() {
    let resolved = resolve(&work(), new(Origin::Rows(vec![2, 1, 1]), 3));
    assert_eq!(resolved.keys, Some(Keys::encode([b"a".as_slice(), b"b", b"b"])));
    assert_eq!(resolved.timestamps, [3, 5, 5]);
    assert_eq!(headers(&resolved), [None, Some(b"h1".as_slice()), Some(b"h1")]);
}

#[test]
fn keys_that_no_record_carries_are_left_out() {
    let resolved = resolve(&work(), new(Origin::Rows(vec![1]), 1));
    assert_eq!(resolved.keys, Some(Keys::encode([b"b".as_slice()])));
}

#[test]
fn a_record_of_a_key_has_the_latest_time_of_its_rows_and_no_headers() {
    let resolved = resolve(&work(), new(Origin::Keys(vec![1, 0, 0]), 3));
    assert_eq!(resolved.keys, Some(Keys::encode([b"b".as_slice(), b"a", b"a"])));
    assert_eq!(resolved.timestamps, [5, 3, 3]);
    assert!(resolved.headers.is_empty());
}

#[test]
fn own_keys_may_stand_twice_and_have_the_latest_time_of_the_call() {
    let mut own = Keys { key_of: vec![2, 0, 1], ..Keys::default() };
    for key in [b"x".as_slice(), b"y", b"x", b"unused"] {
        own.distinct.push(key);
        own.hashes.push(weir_protocol::key_group::key_hash(key));
    }
    let resolved = resolve(&work(), new(Origin::OwnKeys(own), 3));
    assert_eq!(resolved.keys, Some(Keys::encode([b"x".as_slice(), b"x", b"y"])));
    assert_eq!(resolved.timestamps, [5, 5, 5]);
}

#[test]
fn a_record_without_key_has_the_latest_time_of_the_call() {
    let resolved = resolve(&work(), new(Origin::Unkeyed, 2));
    assert_eq!((resolved.keys, resolved.timestamps), (None, vec![5, 5]));
}

#[test]
fn what_an_emission_brings_itself_counts() {
    let own = vec![HeaderColumn { name: "own".to_owned(), values: values(&["x"]) }];
    let emitted = Emitted::New {
        origin: Origin::Rows(vec![0]),
        values: values(&["v"]),
        timestamps: vec![9],
        headers: Some(own.clone()),
    };
    let resolved = resolve(&work(), emitted);
    assert_eq!((resolved.timestamps, resolved.headers), (vec![9], own));
}

#[test]
fn forwarded_rows_are_whole() {
    assert_eq!(resolve(&work(), Emitted::Forwarded(vec![0, 1, 2])), batch());
    let resolved = resolve(&work(), Emitted::Forwarded(vec![2, 0, 2]));
    assert_eq!(resolved.keys, Some(Keys::encode([b"a".as_slice(); 3])));
    assert_eq!(resolved.values, values(&["2", "0", "2"]));
    assert_eq!(resolved.timestamps, [3, 1, 3]);
    assert_eq!(headers(&resolved), [None, Some(b"h0".as_slice()), None]);
}

#[test]
fn rows_without_key_and_time_stay_so() {
    let keys = Keys { key_of: vec![NO_KEY, 0], ..Keys::encode([b"k".as_slice()]) };
    let batch = Batch { rows: 2, keys: Some(keys.clone()), values: values(&["0", "1"]), ..Batch::default() };
    let work = Work::Batch { input: 0, batch };
    let resolved = resolve(&work, new(Origin::Rows(vec![0, 1]), 2));
    assert_eq!((resolved.keys, resolved.timestamps), (Some(keys), Vec::new()));
    assert_eq!(resolve(&work, new(Origin::Unkeyed, 1)).timestamps, [0; 0]);
}

#[test]
fn timers_are_rows() {
    let keys = Keys::encode([b"a".as_slice(), b"b"]);
    let fired = |domain| Work::Timers(FiredTimers { domain, keys: keys.clone(), at: vec![7, 8], tags: vec![0, 0] });
    let event = fired(TimeDomain::EventTime);
    assert_eq!(resolve(&event, new(Origin::EachRow, 2)).timestamps, [7, 8]);
    assert_eq!(resolve(&event, new(Origin::Keys(vec![1]), 1)).timestamps, [8]);
    assert_eq!(resolve(&event, new(Origin::Unkeyed, 1)).timestamps, [8]);
    let processing = resolve(&fired(TimeDomain::ProcessingTime), new(Origin::EachRow, 2));
    assert_eq!((processing.keys, processing.timestamps), (Some(keys), Vec::new()));
    assert_eq!(resolve(&Work::Finish, new(Origin::Unkeyed, 1)).timestamps, [0; 0]);
}
