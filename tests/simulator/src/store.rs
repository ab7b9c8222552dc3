//! The object store: entries, objects, pins and the ingest log. A call takes effect at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use weir_protocol::chain::{RunEntry, SpecEntry, Wanted};
use weir_protocol::garbage::Listed;
use weir_protocol::id::{EntryNumber, Nonce};
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{ErrorSpec, JobSpec, LimitSpec, RestartSpec};
use weir_protocol::time::Timestamp;

use crate::call::{Answer, Entry, Op};
use crate::data::{Content, max_parallelism};
use crate::plan::{Plan, Wish};
use crate::rules::Mutant;
use crate::world::{Event, World, note};

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<EntryNumber, Entry>,
    pub(crate) specs: Vec<Rc<SpecEntry>>,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) pins: BTreeSet<usize>,
    /// Slots of the ingest log; without a request, the log is closed with it.
    pub(crate) slots: BTreeMap<u64, Option<u32>>,
    /// When a person last restored what was damaged.
    repaired_at: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) content: Rc<Content>,
    pub(crate) made_by: EntryNumber,
    pub(crate) modified: Timestamp,
    /// Its bytes are not those that were written.
    pub(crate) is_damaged: bool,
}

impl Store {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut store = Self {
            entries: BTreeMap::new(),
            specs: Vec::new(),
            objects: BTreeMap::new(),
            pins: BTreeSet::new(),
            slots: BTreeMap::new(),
            repaired_at: None,
        };
        store.want(Wanted::Deploy(Box::new(job(plan.operators))));
        store
    }

    /// Whether anything is damaged, or was after that time.
    pub(crate) fn was_damaged_since(&self, at: u64) -> bool {
        self.repaired_at >= Some(at) || self.objects.values().any(|object| object.is_damaged)
    }

    /// Appends to `spec/`.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        let number = EntryNumber(self.specs.len() as u64);
        self.specs.push(Rc::new(SpecEntry {
            number,
            parent: None,
            nonce: Nonce(0),
            at: 0,
            wanted,
            undoes: None,
            began_from: None,
        }));
    }
}

/// A job of which only the operator's parallelism matters.
pub(crate) fn job(parallelism: u32) -> JobSpec {
    JobSpec {
        name: "job".parse().expect("it is a name"),
        max_parallelism: max_parallelism(),
        parallelism,
        checkpoint: None,
        state: StateSpec::default(),
        restart: RestartSpec::default(),
        errors: ErrorSpec::default(),
        limits: LimitSpec::default(),
        sources: Vec::new(),
        operators: Vec::new(),
        sinks: Vec::new(),
    }
}

impl World {
    /// Performs a call.
    pub(crate) fn perform(&mut self, op: Op) -> Answer {
        match op {
            Op::Create { number, bytes } => self.create(number, &bytes),
            Op::Entries(numbers) => {
                Answer::Entries(numbers.iter().map(|number| self.store.entries.get(number).cloned()).collect())
            }
            Op::Numbers { from } => {
                Answer::Numbers(self.store.entries.range(from..).map(|(number, _)| *number).collect())
            }
            Op::Spec => Answer::Spec(Rc::clone(self.store.specs.last().expect("`spec/` 0 precedes everything"))),
            Op::Put { name, made_by, content } => self.put(name, made_by, content),
            Op::Read(names) => {
                let read = |name: &String| {
                    let object = self.store.objects.get(name).filter(|object| !object.is_damaged);
                    object.map(|object| Rc::clone(&object.content))
                };
                Answer::Contents(names.iter().map(read).collect())
            }
            Op::Delete(name) => self.delete(&name),
            Op::DeleteEntry(number) => self.delete_entry(number),
            Op::Objects => {
                let listed = |(name, object): (&String, &Object)| Listed {
                    name: name.clone(),
                    made_by: object.made_by,
                    modified: object.modified,
                };
                Answer::Objects(self.store.objects.iter().map(listed).collect())
            }
            Op::Pin(pin) => {
                self.store.pins.insert(pin);
                note!(self, "store", "pin {pin}");
                Answer::Done
            }
            Op::Unpin(pin) => {
                self.store.pins.remove(&pin);
                Answer::Done
            }
            // The pin of a fork that has ended holds nothing, even if it arrived after that.
            Op::Pins => Answer::Pins(self.store.pins.iter().any(|pin| !self.ended_forks.contains(pin))),
            Op::CreateSlot { slot, request } => self.create_slot(slot, request),
            Op::Slots { from } => {
                Answer::Slots(self.store.slots.range(from..).map(|(slot, request)| (*slot, *request)).collect())
            }
            Op::DeleteSlot(slot) => self.delete_slot(slot),
            Op::Marker | Op::Fence { .. } | Op::Publish(_) | Op::Part { .. } | Op::List(_) => {
                unreachable!("the sink performs what is outside")
            }
        }
    }

    fn create(&mut self, number: EntryNumber, bytes: &[u8]) -> Answer {
        if self.store.entries.contains_key(&number) && !self.lacks(Mutant::OverwriteEntries) {
            note!(self, "store", "entry {} exists", number.0);
            return Answer::Exists;
        }
        let stored = match RunEntry::decode(number, bytes) {
            Ok(stored) => Rc::new(stored),
            Err(error) => {
                self.broken("entries-hold-together", error.to_string());
                return Answer::Failed;
            }
        };
        note!(self, "store", "entry {}: {:?} {}", number.0, stored.entry.kind, stored.entry.manifest.checkpoint);
        self.store.entries.insert(number, Rc::clone(&stored));
        self.check_entry(&stored);
        Answer::Created
    }

    fn put(&mut self, name: String, made_by: EntryNumber, content: Rc<Content>) -> Answer {
        note!(self, "store", "put {name}");
        if let Some(there) = self.store.objects.get(&name)
            && there.content != content
        {
            self.broken("objects-are-immutable", format!("{name} was written twice, with different bytes"));
        }
        let modified = self.time();
        self.store.objects.insert(name, Object { content, made_by, modified, is_damaged: false });
        Answer::Done
    }

    fn delete(&mut self, name: &str) -> Answer {
        note!(self, "store", "delete {name}");
        self.check_deletion(name);
        self.store.objects.remove(name);
        Answer::Done
    }

    fn delete_entry(&mut self, number: EntryNumber) -> Answer {
        note!(self, "store", "delete entry {}", number.0);
        self.check_entry_deletion(number);
        self.store.entries.remove(&number);
        Answer::Done
    }

    fn create_slot(&mut self, slot: u64, request: Option<u32>) -> Answer {
        if self.store.slots.contains_key(&slot) {
            return Answer::Exists;
        }
        note!(self, "store", "slot {slot}: {request:?}");
        self.store.slots.insert(slot, request);
        self.truth.slot_created(slot, request);
        Answer::Created
    }

    /// An object that the newest entry names is not what was written any more.
    pub(crate) fn damage(&mut self) {
        let Some(newest) = self.truth.history.last() else { return };
        let names: Vec<String> = newest.entry.manifest.objects().map(|object| object.name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let name = &names[self.chance.index(names.len())];
        if let Some(object) = self.store.objects.get_mut(name) {
            object.is_damaged = true;
            self.totals.damages += 1;
        }
        let delay = self.chance.between(40, 120);
        self.after(delay, Event::Wish(Wish::Repair));
    }

    /// A person has restored what was damaged from a copy.
    pub(crate) fn repair(&mut self) {
        self.store.objects.values_mut().for_each(|object| object.is_damaged = false);
        self.store.repaired_at = Some(self.now);
    }

    fn delete_slot(&mut self, slot: u64) -> Answer {
        note!(self, "store", "delete slot {slot}");
        self.check_slot_deletion(slot);
        self.store.slots.remove(&slot);
        Answer::Done
    }
}
