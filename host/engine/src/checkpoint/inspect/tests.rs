//! What is shown is what a model holds, however it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::memory::InMemory;
use serde_json::json;
use tokio::runtime::Handle;
use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_operator::turn::{TimeDomain, TimerChange};
use weir_operator::unkeyed_state::UnkeyedWrites;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryHash, EntryKind, Owner, RunEntry};
use weir_protocol::description::{StateDescription, StateKind, TtlDescription};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce, SubtaskId, Uid};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism, key_hash};
use weir_protocol::manifest::{Blob, Manifest, SubtaskManifest};
use weir_protocol::time::Timestamp;

use super::*;
use crate::checkpoint::upload::{BlobWriter, StateFiles, StateUploader, Unsaved};
use crate::clock::{Clock, Entropy};
use crate::state::{SubtaskState, UnkeyedStore};
use crate::store::{ChainName, DataKind, ObjectName};

const JOB: JobId = JobId(1);
const OWNER: Owner = Owner { number: EntryNumber(0), nonce: Nonce(4) };
const COUNT: StateId = StateId(0);
const SEEN: StateId = StateId(1);
const TABLE: StateId = StateId(2);
const VISIT: StateId = StateId(3);

/// How long a visit lives.
const LIFE: TtlDescription = TtlDescription { duration_ms: 100, refresh_on_read: false, return_expired: false };

/// An operator with a state of each kind and timers, on real files; and a model of what it holds.
struct Held {
    store: Store,
    max: MaxParallelism,
    subtasks: Vec<(KeyGroupRange, SubtaskState, StateUploader)>,
    listed: Vec<StateFiles>,
    model: Model,
    /// What subtasks hold for no key.
    unkeyed: Vec<Option<Blob>>,
    /// Processing time.
    now: Timestamp,
}

/// What is held: by (key group, state, key, entry), as it is shown; timers stand under no state.
type Model = BTreeMap<(u16, Option<String>, Vec<u8>, Vec<u8>), Item>;

fn uid() -> Uid {
    "count".parse().unwrap()
}

fn states() -> Vec<StateDescription> {
    let state = |name: &str, kind, codec: &str| StateDescription {
        name: name.to_owned(),
        kind,
        codec: codec.to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    vec![
        state("count", StateKind::KeyedValue, "u64"),
        state("seen", StateKind::KeyedList, "utf-8"),
        state("table", StateKind::KeyedMap, "bytes"),
        StateDescription { ttl: Some(LIFE), ..state("visit", StateKind::KeyedValue, "utf-8") },
    ]
}

fn item(state: &str, kind: &str, key: &[u8], value: Shown) -> Item {
    Item {
        state: Some(state.to_owned()),
        kind: kind.to_owned(),
        key: Some(Shown::key(key)),
        subtask: None,
        position: None,
        entry: None,
        value: Some(value),
        timer: None,
        stamped_at: None,
        expires_at: None,
    }
}

impl Held {
    fn new(max: u32, parallelism: u32) -> Self {
        let store = Store::new(Arc::new(InMemory::new()), Clock::system());
        let max = MaxParallelism::new(max).unwrap();
        let subtask = |index| {
            let key_groups = max.range(index, parallelism);
            let blobs = BlobWriter::new(store.clone(), JOB, OWNER, SubtaskId { uid: uid(), index }, DataKind::State);
            let runtime = Handle::current().into();
            let uploader = StateUploader::new(blobs, key_groups, StateFiles::default(), Unsaved::default(), runtime);
            (key_groups, SubtaskState::new(&states(), max, key_groups).unwrap(), uploader)
        };
        let subtasks: Vec<_> = (0..parallelism).map(subtask).collect();
        let (listed, unkeyed) = (vec![StateFiles::default(); subtasks.len()], vec![None; subtasks.len()]);
        Self { store, max, subtasks, listed, model: Model::new(), unkeyed, now: 0 }
    }

    /// Makes a call with one key, whose writes `write` stages and adds to the model.
    fn call(&mut self, key: &[u8], write: impl FnOnce(&mut Writes, &mut Model, u16)) {
        let group = self.max.key_group(key_hash(key));
        let subtask = self.subtasks.iter_mut().find(|(key_groups, ..)| key_groups.contains(group)).unwrap();
        subtask.1.select(&Keys::encode([key]), self.now).unwrap();
        let mut writes = Writes::default();
        write(&mut writes, &mut self.model, group.0);
        subtask.1.commit(&writes).unwrap();
    }

    fn set(&mut self, key: &[u8], count: Option<u64>) {
        self.call(key, |writes, model, group| {
            let bytes = count.map(u64::to_le_bytes);
            writes.value_writes_mut(COUNT).set(0, bytes.as_ref().map(<[u8; 8]>::as_slice));
            let place = (group, Some("count".to_owned()), key.to_vec(), Vec::new());
            match count {
                Some(count) => model.insert(place, item("count", "keyed-value", key, Shown::Json(json!(count)))),
                None => model.remove(&place),
            };
        });
    }

    fn append(&mut self, key: &[u8], texts: &[String]) {
        self.call(key, |writes, model, group| {
            let place = |position: u64| (group, Some("seen".to_owned()), key.to_vec(), position.to_be_bytes().to_vec());
            let end = (0..).find(|position| !model.contains_key(&place(*position))).unwrap();
            for (position, text) in (end..).zip(texts) {
                writes.list_write_mut(SEEN, 0).appended.push(text.as_bytes());
                let element = item("seen", "keyed-list", key, Shown::Text(text.clone()));
                model.insert(place(position), Item { position: Some(position), ..element });
            }
        });
    }

    fn clear_list(&mut self, key: &[u8]) {
        self.call(key, |writes, model, _| {
            writes.list_write_mut(SEEN, 0).replaced = true;
            model.retain(|(_, state, other, _), _| state.as_deref() != Some("seen") || other != key);
        });
    }

    fn put(&mut self, key: &[u8], entry: &[u8], value: Option<&[u8]>) {
        self.call(key, |writes, model, group| {
            writes.map_write_mut(TABLE, 0).write(entry, value);
            let place = (group, Some("table".to_owned()), key.to_vec(), entry.to_vec());
            match value {
                Some(value) => {
                    let shown = item("table", "keyed-map", key, Shown::value("bytes", value));
                    model.insert(place, Item { entry: Some(Shown::key(entry)), ..shown })
                }
                None => model.remove(&place),
            };
        });
    }

    fn timer(&mut self, key: &[u8], register: bool, at: u8) {
        let group = self.max.key_group(key_hash(key));
        let subtask = self.subtasks.iter_mut().find(|(key_groups, ..)| key_groups.contains(group)).unwrap();
        let (domain, at, tag) = (TimeDomain::ProcessingTime, i64::from(at), 7);
        subtask.1.apply_timers(&[TimerChange { register, domain, key: 0, at, tag }], &Keys::encode([key])).unwrap();
        let place = (group.0, None, key.to_vec(), at.to_be_bytes().to_vec());
        if !register {
            self.model.remove(&place);
            return;
        }
        let timer = Timer { domain: "processing-time".to_owned(), at, tag };
        let shown = item("", "timers", key, Shown::Text(String::new()));
        self.model.insert(place, Item { state: None, value: None, timer: Some(timer), ..shown });
    }

    async fn barrier(&mut self) {
        for ((_, state, uploader), listed) in self.subtasks.iter_mut().zip(&mut self.listed) {
            *listed = uploader.close(state.freeze(self.now)).await.unwrap();
        }
    }

    /// The checkpoint that holds what was there at the last barrier, in the store as it would be.
    async fn checkpoint(&self, number: u64) -> Checkpoint {
        let mut manifest = Manifest::start(self.max, 0, BTreeMap::new());
        let parallelism = u32::try_from(self.subtasks.len()).unwrap();
        let subtasks = (0..parallelism).zip(&self.listed).map(|(index, StateFiles { base, files })| SubtaskManifest {
            index,
            parallelism,
            key_groups: self.max.range(index, parallelism),
            base: base.clone(),
            files: files.clone(),
            unkeyed: self.unkeyed[index as usize].clone(),
            watermark: 0,
            processing_time: self.now,
        });
        manifest.operators.insert(uid(), subtasks.collect());
        (manifest.checkpoint, manifest.taken_at) = (CheckpointId(number), 1_000);
        let entry = RunEntry {
            number: EntryNumber(number),
            parent: Some(EntryHash([0; 32])),
            nonce: Nonce(7),
            owner: OWNER,
            spec: EntryNumber(0),
            manifest_spec: None,
            kind: EntryKind::Checkpoint,
            at: 1_001,
            highest_checkpoint: CheckpointId(number),
            retained: Vec::new(),
            published: BTreeMap::new(),
            manifest,
        };
        let name = ObjectName::entry(&ChainName::Run(JOB), entry.number);
        self.store.put(&name, entry.encode().into()).await.unwrap();
        entry.into()
    }

    fn inspector(&self) -> Inspector {
        Inspector::new(self.store.clone(), Clock::system(), JOB, Handle::current().into(), Holds::default())
    }

    fn modelled(&self, wanted: impl Fn(&Item) -> bool) -> Vec<Item> {
        self.model.values().filter(|item| wanted(item)).cloned().collect()
    }
}

fn ask(limit: usize) -> Ask {
    Ask { operator: uid(), state: None, key: None, limit, after: None, lives: BTreeMap::new() }
}

/// All pages of an answer, one after the other.
async fn pages(inspector: &Inspector, mut ask: Ask) -> Vec<Item> {
    let mut items = Vec::new();
    for _ in 0..100_000 {
        let (_, page) = inspector.look(Which::Newest, &ask).await.unwrap();
        assert!(page.items.len() <= ask.limit);
        items.extend(page.items);
        match page.next {
            Some(next) => ask.after = Some(Mark::decode(&next.encode()).unwrap()),
            None => return items,
        }
    }
    panic!("pages come for ever")
}

/// Keys of many kinds: texts, JSON, bytes, the empty one.
fn key(number: u64) -> Vec<u8> {
    match number % 4 {
        0 => format!("key {number}").into_bytes(),
        1 => format!("\"json {number}\"").into_bytes(),
        2 => number.to_be_bytes().to_vec(),
        _ if number == 3 => Vec::new(),
        _ => [b"a long key ".repeat(5), number.to_string().into_bytes()].concat(),
    }
}

async fn history(entropy: &Entropy, held: &mut Held, keys: u64, calls: u64) {
    for call in 0..calls {
        let pick = |bound: u64| entropy.bits64() % bound;
        let key = key(pick(keys));
        match pick(16) {
            0..=3 => held.set(&key, Some(call)),
            4 => held.set(&key, None),
            5..=7 => {
                let texts = (0..=pick(4)).map(|number| format!("element {number} of call {call}"));
                held.append(&key, &texts.collect::<Vec<_>>());
            }
            8 => held.clear_list(&key),
            9..=11 => held.put(&key, &vec![b'e'; usize::try_from(pick(5)).unwrap()], Some(&call.to_be_bytes())),
            12 => held.put(&key, &vec![b'e'; usize::try_from(pick(5)).unwrap()], None),
            13 | 14 => held.timer(&key, true, u8::try_from(pick(200)).unwrap()),
            _ => held.timer(&key, false, u8::try_from(pick(200)).unwrap()),
        }
        if pick(calls / 8) == 0 {
            held.barrier().await;
        }
    }
    held.barrier().await;
}

#[tokio::test]
async fn pages_show_what_is_held_in_order_each_once() {
    for (seed, max, parallelism) in [(1, 1, 1), (2, 3, 2), (3, 128, 2), (4, 128, 1)] {
        let (entropy, mut held) = (Entropy::seeded(seed), Held::new(max, parallelism));
        history(&entropy, &mut held, 60, 1_500).await;
        held.checkpoint(1).await;
        let inspector = held.inspector();
        for limit in [1, 7, 10_000] {
            assert_eq!(pages(&inspector, ask(limit)).await, held.modelled(|_| true), "seed {seed}, limit {limit}");
        }
        for state in ["count", "seen", "table"] {
            let of_state = Ask { state: Some(state.to_owned()), ..ask(11) };
            let wanted = held.modelled(|item| item.state.as_deref() == Some(state));
            assert_eq!(pages(&inspector, of_state).await, wanted, "seed {seed}, state {state}");
        }
    }
}

#[tokio::test]
async fn pages_go_on_within_a_key_that_holds_more_than_one_looks_at() {
    let mut held = Held::new(1, 1);
    held.append(b"long", &(0..1_200).map(|number| format!("element {number}")).collect::<Vec<_>>());
    held.barrier().await;
    held.checkpoint(1).await;
    for limit in [100, 10_000] {
        assert_eq!(pages(&held.inspector(), ask(limit)).await, held.modelled(|_| true), "limit {limit}");
    }
}

#[tokio::test]
async fn a_key_shows_all_that_is_held_under_it_and_nothing_else() {
    let (entropy, mut held) = (Entropy::seeded(5), Held::new(2, 1));
    history(&entropy, &mut held, 40, 1_500).await;
    held.checkpoint(1).await;
    let inspector = held.inspector();
    for number in 0..45 {
        let key = key(number);
        for limit in [2, 1_000] {
            let shown = pages(&inspector, Ask { key: Some(key.clone()), ..ask(limit) }).await;
            assert_eq!(shown, held.modelled(|item| item.key == Some(Shown::key(&key))), "key {number}, limit {limit}");
        }
        let in_table = Ask { key: Some(key.clone()), state: Some("table".to_owned()), ..ask(1_000) };
        let wanted = held.modelled(|item| item.key == Some(Shown::key(&key)) && item.state.as_deref() == Some("table"));
        assert_eq!(pages(&inspector, in_table).await, wanted, "key {number}");
    }
}

/// Files above the size that is read as a whole, with many blocks in one key group: the halving has work to do.
#[tokio::test]
async fn large_files_are_read_in_parts() {
    let (entropy, mut held) = (Entropy::seeded(6), Held::new(1, 1));
    let noise = |bytes: usize| -> Vec<u8> { (0..bytes).flat_map(|_| entropy.bits64().to_be_bytes()).collect() };
    let keys: Vec<_> = (0..1_500).map(key).collect::<BTreeSet<_>>().into_iter().collect();
    for epoch in 0..2 {
        for key in keys.iter().skip(epoch).step_by(epoch + 1) {
            held.set(key, Some(epoch as u64));
            held.put(key, b"entry", Some(&noise(64)));
        }
        held.barrier().await;
    }
    let checkpoint = held.checkpoint(1).await;
    let objects = checkpoint.manifest.objects().filter(|object| object.bytes > 256 << 10).count();
    assert_eq!(objects, 2, "both files are large");
    let inspector = held.inspector();
    assert_eq!(pages(&inspector, ask(700)).await, held.modelled(|_| true));
    for key in keys.iter().step_by(97) {
        let shown = pages(&inspector, Ask { key: Some(key.clone()), ..ask(10) }).await;
        assert_eq!(shown, held.modelled(|item| item.key == Some(Shown::key(key))));
    }
    let beyond = pages(&inspector, Ask { key: Some(b"zzz".to_vec()), ..ask(10) }).await;
    assert_eq!(beyond, []);
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is() {
    let mut held = Held::new(128, 1);
    let inspector = held.inspector();
    held.set(b"a", Some(1));
    held.barrier().await;
    held.checkpoint(3).await;
    let refused = async |which, ask: Ask| inspector.look(which, &ask).await.unwrap_err();
    let operator = refused(Which::Newest, Ask { operator: "cuont".parse().unwrap(), ..ask(1) }).await;
    assert_eq!(operator.to_string(), "checkpoint 3 has no operator `cuont`; operators are: count");
    let state = refused(Which::Newest, Ask { state: Some("cuont".to_owned()), ..ask(1) }).await;
    let expected = "operator `count` holds no state `cuont` in checkpoint 3; states are: count, seen, table, visit";
    assert_eq!(state.to_string(), expected);
    let checkpoint = refused(Which::Retained(CheckpointId(2)), ask(1)).await;
    assert_eq!(checkpoint.to_string(), "checkpoint 2 is not retained; retained are: 3");
    assert_eq!(refused(Which::Entry(EntryNumber(2)), ask(1)).await, InspectError::Gone);
    assert!([operator, state, checkpoint].iter().all(|error| error.fault() == Fault::Request));
    assert_eq!(Mark::decode("no mark").unwrap_err().fault(), Fault::Request);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_what_stands_elsewhere_is_shown() {
    let (entropy, mut held) = (Entropy::seeded(7), Held::new(2, 2));
    let noise: Vec<u8> = (0..60_000).flat_map(|_| entropy.bits64().to_be_bytes()).collect();
    for number in 0..8 {
        held.put(&key(number), b"entry", Some(&noise));
    }
    held.barrier().await;
    let checkpoint = held.checkpoint(1).await;
    let file = &checkpoint.manifest.operators[&uid()][1].files[0];
    let object = &file.blob.object().unwrap().name;
    let name = ObjectName::of_manifest(JOB, object).unwrap();
    let mut bytes = held.store.get(&name).await.unwrap().unwrap().to_vec();
    bytes[400_000] ^= 1;
    held.store.put(&name, bytes.into()).await.unwrap();
    let error = held.inspector().look(Which::Newest, &ask(1_000)).await.unwrap_err();
    assert!(error.fault() == Fault::Corrupt && error.to_string().contains(object), "{error}");
    let elsewhere = (0..8).map(key).find(|key| held.max.key_group(key_hash(key)).0 == 0).unwrap();
    let asked = Ask { key: Some(elsewhere), ..ask(10) };
    assert_eq!(held.inspector().look(Which::Newest, &asked).await.unwrap().1.items.len(), 1);
    held.store.delete(&name).await.unwrap();
    let error = held.inspector().look(Which::Newest, &ask(1_000)).await.unwrap_err();
    assert!(error.to_string().contains(&format!("`{object}` is missing")), "{error}");
}

#[tokio::test]
async fn a_listing_stays_with_the_checkpoint_that_it_began_with() {
    let mut held = Held::new(128, 1);
    for number in 0..20 {
        held.set(&key(number), Some(1));
    }
    held.barrier().await;
    let checkpoint = held.checkpoint(1).await;
    let then = held.modelled(|_| true);
    let inspector = held.inspector();
    let (_, first) = inspector.look(Which::Newest, &ask(5)).await.unwrap();
    assert!(inspector.holds.has(JOB, inspector.clock.now()), "nothing is collected until the next page is asked for");
    for number in 0..20 {
        held.set(&key(number), Some(2));
    }
    held.barrier().await;
    held.checkpoint(2).await;
    let (of, rest) = inspector.look(Which::Newest, &Ask { after: first.next.clone(), ..ask(100) }).await.unwrap();
    assert_eq!((of.id(), [first.items, rest.items].concat()), (CheckpointId(1), then));
    let entry = ObjectName::entry(&ChainName::Run(JOB), checkpoint.entry);
    held.store.delete(&entry).await.unwrap();
    let gone = inspector.look(Which::Newest, &Ask { after: first.next, ..ask(100) }).await.unwrap_err();
    assert_eq!(gone, InspectError::Gone);
}

#[tokio::test]
async fn what_had_expired_at_the_barrier_is_not_shown_and_what_will_is_shown_with_its_time() {
    let mut held = Held::new(128, 1);
    for (now, key) in [(10, b"early"), (100, b"later")] {
        held.now = now;
        held.call(key, |writes, _, _| writes.value_writes_mut(VISIT).set(0, Some(b"here")));
        held.barrier().await;
    }
    held.now = 115;
    held.barrier().await;
    held.checkpoint(1).await;
    let inspector = held.inspector();
    let asked = Ask { lives: BTreeMap::from([("visit".to_owned(), LIFE)]), ..ask(10) };
    let shown = item("visit", "keyed-value", b"later", Shown::Text("here".to_owned()));
    let later = Item { stamped_at: Some(100), expires_at: Some(200), ..shown };
    assert_eq!(inspector.look(Which::Newest, &asked).await.unwrap().1.items, [later]);
    let unknown = inspector.look(Which::Newest, &ask(10)).await.unwrap().1.items;
    assert_eq!(unknown.len(), 2, "without its description nobody knows how long it lives");
    assert!(unknown.iter().all(|item| item.stamped_at.is_some() && item.expires_at.is_none()));
}

/// What one subtask holds for no key: a list of its own, and a map that is the same on every subtask.
fn unkeyed(elements: &[&[u8]]) -> bytes::Bytes {
    let state = |name: &str, kind| StateDescription { name: name.to_owned(), kind, ..states().swap_remove(2) };
    let states = [state("queue", StateKind::OperatorSplit), state("rules", StateKind::Broadcast)];
    let mut store = UnkeyedStore::new(&states);
    let mut lent = store.lend();
    let mut writes = UnkeyedWrites::default();
    writes.set_list(StateId(0), elements.iter().copied().collect(), &lent);
    writes.put_entry(StateId(1), b"rule", Some(b"allow"), &lent);
    store.commit(&mut lent, writes);
    store.take_back(lent);
    store.freeze().unwrap().encode()
}

#[tokio::test]
async fn what_belongs_to_no_key_comes_last_and_what_is_the_same_everywhere_once() {
    let mut held = Held::new(2, 2);
    held.set(b"a", Some(1));
    held.barrier().await;
    held.unkeyed = [unkeyed(&[b"x", b"y"]), unkeyed(&[b"z"])].map(|snapshot| Some(Blob::inline(&snapshot))).to_vec();
    held.checkpoint(1).await;
    let text = |text: &str| Some(Shown::Text(text.to_owned()));
    let item = |state: &str, kind: &str, value| Item { key: None, value, ..item(state, kind, b"", Shown::key(b"")) };
    let element = |subtask, position, value| Item {
        subtask: Some(subtask),
        position: Some(position),
        ..item("queue", "operator-split", text(value))
    };
    let rule = Item { entry: text("rule"), ..item("rules", "broadcast", text("allow")) };
    let unkeyed = vec![element(0, 0, "x"), element(0, 1, "y"), rule, element(1, 0, "z")];
    for limit in [1, 2, 100] {
        let shown = pages(&held.inspector(), ask(limit)).await;
        assert_eq!(shown, [held.modelled(|_| true), unkeyed.clone()].concat(), "limit {limit}");
    }
    let of_state = pages(&held.inspector(), Ask { state: Some("queue".to_owned()), ..ask(1) }).await;
    assert_eq!(of_state, [&unkeyed[..2], &unkeyed[3..]].concat());
}

#[tokio::test]
async fn a_changed_bit_in_what_belongs_to_no_key_is_found_and_named() {
    let mut held = Held::new(2, 1);
    held.set(b"a", Some(1));
    held.barrier().await;
    let entropy = Entropy::seeded(8);
    let noise: Vec<u8> = (0..2_000).flat_map(|_| entropy.bits64().to_be_bytes()).collect();
    let subtask = SubtaskId { uid: uid(), index: 0 };
    let mut blobs = BlobWriter::new(held.store.clone(), JOB, OWNER, subtask, DataKind::Unkeyed);
    let blob = blobs.write(&unkeyed(&[&noise])).await.unwrap();
    let object = blob.object().expect("it is too long to be inlined").clone();
    held.unkeyed = vec![Some(blob)];
    held.checkpoint(1).await;
    let name = ObjectName::of_manifest(JOB, &object.name).unwrap();
    let damage = async || {
        let mut verification = held.inspector().verify(Which::Newest).await.unwrap();
        while let Some(verdict) = verification.next().await.unwrap() {
            if verdict.kind == "unkeyed" {
                assert_eq!(verdict.object, object.name);
                return verdict.damage;
            }
        }
        panic!("it was not looked at");
    };
    assert_eq!(damage().await, None);
    let mut bytes = held.store.get(&name).await.unwrap().unwrap().to_vec();
    bytes[5_000] ^= 1;
    held.store.put(&name, bytes.into()).await.unwrap();
    assert!(damage().await.unwrap().contains("checksum"));
}
