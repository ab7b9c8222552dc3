use proptest::prelude::*;

use super::*;

const LIST: StateId = StateId(0);
const MAP: StateId = StateId(1);

fn column(values: &[&str]) -> BytesColumn {
    values.iter().map(|value| value.as_bytes()).collect()
}

fn page(state: &UnkeyedState, start: Option<&[u8]>, end: Option<&[u8]>, limit: usize) -> (Vec<Vec<u8>>, bool) {
    let mut page = Entries::default();
    state.scan(MAP, EntryRange { start, end, limit }, &mut page);
    (page.entries.iter().map(<[u8]>::to_vec).collect(), page.more)
}

#[test]
fn a_copy_does_not_see_what_is_written_later() {
    let mut state = UnkeyedState::default();
    let write = |state: &mut UnkeyedState, text: &str| {
        let mut writes = UnkeyedWrites::default();
        writes.set_list(LIST, column(&[text]), state);
        writes.put_entry(MAP, b"e", Some(text.as_bytes()), state);
        state.commit(writes);
    };
    write(&mut state, "old");
    let copy = state.clone();
    write(&mut state, "new");
    let seen = |state: &UnkeyedState| {
        (state.list(LIST).unwrap().get(0).to_vec(), state.entry(MAP, b"e").map(|value| value.to_vec()))
    };
    assert_eq!(seen(&copy), (b"old".to_vec(), Some(b"old".to_vec())));
    assert_eq!(seen(&state), (b"new".to_vec(), Some(b"new".to_vec())));
}

#[test]
fn nothing_is_held_as_no_state() {
    let mut state = UnkeyedState::default();
    let mut writes = UnkeyedWrites::default();
    writes.set_list(LIST, column(&["a"]), &state);
    writes.put_entry(MAP, b"", Some(b""), &state);
    state.commit(writes);
    assert_eq!((state.bytes(), state.iter().count()), (33, 2));
    let mut writes = UnkeyedWrites::default();
    writes.set_list(LIST, column(&[]), &state);
    writes.put_entry(MAP, b"", None, &state);
    state.commit(writes);
    assert_eq!(state, UnkeyedState::default());
}

#[test]
fn a_map_is_scanned_in_order_and_within_its_bounds() {
    let mut state = UnkeyedState::default();
    let mut writes = UnkeyedWrites::default();
    ["c", "a", "", "b"].iter().for_each(|entry| writes.put_entry(MAP, entry.as_bytes(), Some(b"v"), &state));
    state.commit(writes);
    let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(page(&state, None, None, 9), (names(&["", "a", "b", "c"]), false));
    assert_eq!(page(&state, None, None, 2), (names(&["", "a"]), true));
    assert_eq!(page(&state, Some(b"a"), Some(b"c"), 2), (names(&["a", "b"]), false));
    assert_eq!(page(&state, Some(b"c"), Some(b"a"), 2), (names(&[]), false));
}

proptest! {
    /// What is counted while writing is what there is.
    #[test]
    fn bytes_are_those_of_what_it_holds(
        calls in prop::collection::vec(prop::collection::vec((0_u8..4, prop::option::of(0_usize..9)), 0..9), 0..9),
    ) {
        let mut state = UnkeyedState::default();
        for call in calls {
            let mut writes = UnkeyedWrites::default();
            for (entry, value) in call {
                let value = value.map(|length| vec![1; length]);
                if entry == 3 {
                    writes.set_list(LIST, value.iter().map(Vec::as_slice).collect(), &state);
                } else {
                    writes.put_entry(MAP, &vec![entry; usize::from(entry)], value.as_deref(), &state);
                }
            }
            let expected = writes.bytes_over(&state);
            state.commit(writes);
            prop_assert_eq!(state.bytes(), expected);
            prop_assert_eq!(state.bytes(), state.iter().map(|(_, value)| value.bytes()).sum::<u64>());
        }
    }
}
