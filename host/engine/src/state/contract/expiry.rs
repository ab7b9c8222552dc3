//! What time does to state: for every implementation of [`KeyedState`], over a clock that steps.

use weir_operator::batch::{BytesColumn, Keys};
use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, Read, Writes};
use weir_protocol::description::{StateDescription, TtlDescription};
use weir_protocol::time::Timestamp;

use super::{COUNT, HISTORY, LAST, TABLE, bring, commit, states, text, values};

/// How long everything lives here.
const LIFE: u64 = 100;

/// The declared states, all with a time to live.
pub(in crate::state) fn expiring(ttl: TtlDescription) -> Vec<StateDescription> {
    states().into_iter().map(|state| StateDescription { ttl: Some(ttl), ..state }).collect()
}

/// Everything that time must do, whoever keeps the state; `new` makes one that holds nothing.
pub(in crate::state) fn suite<S: KeyedState>(new: impl Fn(&[StateDescription]) -> S) {
    let with = |refresh_on_read, return_expired| {
        new(&expiring(TtlDescription { duration_ms: LIFE, refresh_on_read, return_expired }))
    };
    each_value_element_and_entry_expires_for_itself(with(false, false));
    a_write_makes_live_longer_and_a_read_does_not(with(false, false));
    a_read_that_is_committed_makes_live_longer(with(true, false));
    a_read_whose_call_failed_refreshes_nothing(with(true, false));
    what_has_expired_is_not_revived_by_a_read(with(true, true));
    an_expired_value_that_is_still_there_is_returned_where_that_is_declared(with(false, true));
    what_is_written_after_the_expiry_begins_anew(with(false, false));
    a_page_counts_what_it_shows(with(false, false));
    time_never_goes_back(with(false, false));
    state_without_a_time_to_live_stays(new(&states()));
}

/// Key 0, at a time.
fn at(state: &mut impl KeyedState, now: Timestamp) {
    state.select(&Keys::encode([b"a".as_slice()]), now).expect("keys can be selected");
}

fn write_all(state: &mut impl KeyedState, now: Timestamp, name: &str) {
    at(state, now);
    commit(state, |writes| {
        writes.value_writes_mut(COUNT).set(0, Some(name.as_bytes()));
        writes.list_write_mut(HISTORY, 0).appended.push(name.as_bytes());
        writes.map_write_mut(TABLE, 0).write(name.as_bytes(), Some(name.as_bytes()));
    });
}

/// Value, list and map of key 0, as text.
fn read_all(state: &mut impl KeyedState, now: Timestamp) -> String {
    at(state, now);
    let words = |column: &BytesColumn| {
        let words: Vec<_> = column.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.join(" ")
    };
    let value = values(state, COUNT, &[0]).remove(0).unwrap_or_default();
    let mut list = BytesColumn::default();
    bring(state, Read::Lists(HISTORY, &[0]));
    state.list(HISTORY, 0, &mut list).expect("a declared state can be read");
    let mut page = Entries::default();
    let range = EntryRange { start: None, end: None, limit: 9 };
    bring(state, Read::Scan(TABLE, 0, range));
    state.scan(TABLE, 0, range, &mut page).expect("a declared state can be read");
    format!("{} | {} | {}", String::from_utf8_lossy(&value), words(&list), words(&page.entries))
}

fn each_value_element_and_entry_expires_for_itself(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    write_all(&mut state, 60, "y");
    assert_eq!(read_all(&mut state, 99), "y | x y | x y");
    assert_eq!(read_all(&mut state, 100), "y | y | y");
    assert_eq!(read_all(&mut state, 159), "y | y | y");
    assert_eq!(read_all(&mut state, 160), " |  | ");
    let mut found = Default::default();
    let entries: BytesColumn = [b"x".as_slice(), b"y"].into_iter().collect();
    bring(&mut state, Read::Entries(TABLE, &[0, 0], &entries));
    state.entries(TABLE, &[0, 0], &entries, &mut found).expect("a declared state can be read");
    assert!(found.iter().eq([None, None]));
}

fn a_write_makes_live_longer_and_a_read_does_not(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, 90), "x | x | x");
    commit(&mut state, |_| {});
    at(&mut state, 95);
    commit(&mut state, |writes| {
        writes.map_write_mut(TABLE, 0).write(b"x", Some(b"x"));
    });
    assert_eq!(read_all(&mut state, 100), " |  | x");
    assert_eq!(read_all(&mut state, 195), " |  | ");
}

fn a_read_that_is_committed_makes_live_longer(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    write_all(&mut state, 50, "y");
    assert_eq!(read_all(&mut state, 90), "y | x y | x y");
    commit(&mut state, |_| {});
    assert_eq!(read_all(&mut state, 189), "y | x y | x y");
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(0, None));
    assert_eq!(read_all(&mut state, 288), " | x y | x y", "a read refreshes nothing that its call removed");
    assert_eq!(read_all(&mut state, 289), " |  | ");
}

fn a_read_whose_call_failed_refreshes_nothing(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, 90), "x | x | x");
    at(&mut state, 95);
    commit(&mut state, |_| {});
    assert_eq!(read_all(&mut state, 100), " |  | ");
}

fn what_has_expired_is_not_revived_by_a_read(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, 100), "x | x | x", "it was not cleaned up");
    commit(&mut state, |_| {});
    write_all(&mut state, 120, "y");
    let seen = read_all(&mut state, 150);
    assert!(["y | x y | x y", "y | y | y"].contains(&seen.as_str()), "{seen}");
}

fn an_expired_value_that_is_still_there_is_returned_where_that_is_declared(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, 1_000), "x | x | x");
}

fn what_is_written_after_the_expiry_begins_anew(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    write_all(&mut state, 500, "y");
    assert_eq!(read_all(&mut state, 599), "y | y | y");
    at(&mut state, 600);
    commit(&mut state, |writes| {
        writes.value_writes_mut(COUNT).set(0, None);
        writes.list_write_mut(HISTORY, 0).replaced = true;
        writes.map_write_mut(TABLE, 0).write(b"y", None);
    });
    write_all(&mut state, 600, "z");
    assert_eq!(read_all(&mut state, 600), "z | z | z");
}

fn a_page_counts_what_it_shows(mut state: impl KeyedState) {
    let put = |state: &mut _, now, entries: &[&str]| {
        at(state, now);
        commit(state, |writes: &mut Writes| {
            let map = writes.map_write_mut(TABLE, 0);
            entries.iter().for_each(|entry| map.write(entry.as_bytes(), Some(&[])));
        });
    };
    put(&mut state, 0, &["a", "c", "e"]);
    put(&mut state, 50, &["b", "d"]);
    at(&mut state, 120);
    let mut scan = |limit| {
        let mut page = Entries::default();
        let range = EntryRange { start: None, end: None, limit };
        bring(&mut state, Read::Scan(TABLE, 0, range));
        state.scan(TABLE, 0, range, &mut page).expect("a map can be read");
        assert!(!state.is_empty(TABLE, 0).expect("a map can be read"));
        (page.entries.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(scan(1), (vec![b"b".to_vec()], true));
    assert_eq!(scan(2), (vec![b"b".to_vec(), b"d".to_vec()], false), "nothing that it would show is behind");
}

fn time_never_goes_back(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, 100), " |  | ");
    assert_eq!(read_all(&mut state, 50), " |  | ");
}

fn state_without_a_time_to_live_stays(mut state: impl KeyedState) {
    write_all(&mut state, 0, "x");
    assert_eq!(read_all(&mut state, Timestamp::MAX - 1), "x | x | x");
    assert_eq!(values(&mut state, LAST, &[0]), [None]);
    assert_eq!(values(&mut state, COUNT, &[0]), [text("x")]);
}
