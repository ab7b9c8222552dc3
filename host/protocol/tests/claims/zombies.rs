//! Several owners of one job at once, in a store that fails, with crashes anywhere: the chain, what is published and
//! what is kept stay right.
//!
//! The model is small: one place for entries, one for objects, one sink with a marker. Everything that decides is the
//! real code; the model performs it, one call at a time, in any order, and looks after each call.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::chain::{Confirmed, CreateOutcome, EntryKind, Next, Ownership, RunEntry, Step, Stored};
use weir_protocol::garbage::{self, Listed};
use weir_protocol::id::{CheckpointId, EntryNumber, Nonce};
use weir_protocol::manifest::{Blob, Manifest, OutboxPart};
use weir_protocol::publication::Publication;

use crate::support::{checkpoint, look, object, sink, start, started, subtask};

/// What lies in the store and outside.
#[derive(Debug, Default)]
struct World {
    /// Left out: the sink takes whatever it is given, whatever its marker says.
    careless_sink: bool,
    entries: BTreeMap<EntryNumber, Vec<u8>>,
    /// Creates that were answered with an error and may still arrive.
    late: Vec<(EntryNumber, Vec<u8>)>,
    /// Objects, and the owner in their names.
    objects: BTreeMap<String, EntryNumber>,
    /// The names of the parts published, in order, and the sink's marker.
    published: Vec<String>,
    marker: Option<CheckpointId>,
    /// Every entry that became the newest, in order: what an undying reader would have seen.
    history: Vec<RunEntry>,
    nonces: u128,
}

/// A node that believes, rightly or not, that it owns the job.
#[derive(Debug)]
struct Node {
    ownership: Ownership,
    publication: Option<Publication>,
    confirmed: Option<Confirmed>,
    uploaded: BTreeSet<String>,
    state: (Option<Blob>, Vec<Blob>),
    sequence: u32,
}

/// What becomes of a create: performed at once, later or never; answered or not.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Fine,
    AppliedButLost,
    NotApplied,
    Late,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    TakeOver,
    Act(prop::sample::Index, Fate),
    Checkpoint { node: prop::sample::Index, rebase: bool, results: bool },
    Publish(prop::sample::Index),
    Collect { node: prop::sample::Index, crash_after: usize },
    Sweep(prop::sample::Index),
    Crash(prop::sample::Index),
    Arrive(prop::sample::Index),
}

fn moves() -> impl Strategy<Value = Move> {
    let node = any::<prop::sample::Index>;
    let fate = prop_oneof![6 => Just(Fate::Fine), 1 => Just(Fate::AppliedButLost), 1 => Just(Fate::NotApplied), 1 => Just(Fate::Late)];
    prop_oneof![
        2 => Just(Move::TakeOver),
        24 => (node(), fate).prop_map(|(node, fate)| Move::Act(node, fate)),
        8 => (node(), any::<bool>(), any::<bool>())
            .prop_map(|(node, rebase, results)| Move::Checkpoint { node, rebase, results }),
        6 => node().prop_map(Move::Publish),
        4 => (node(), 0_usize..12).prop_map(|(node, crash_after)| Move::Collect { node, crash_after }),
        2 => node().prop_map(Move::Sweep),
        1 => node().prop_map(Move::Crash),
        2 => node().prop_map(Move::Arrive),
    ]
}

impl World {
    fn nonce(&mut self) -> u128 {
        self.nonces += 1;
        self.nonces
    }

    fn read(&self, number: EntryNumber) -> Option<Stored<RunEntry>> {
        self.entries.get(&number).map(|bytes| RunEntry::decode(number, bytes).expect("entries are whole"))
    }

    fn apply(&mut self, number: EntryNumber, bytes: &[u8]) -> CreateOutcome {
        if self.entries.contains_key(&number) {
            return CreateOutcome::AlreadyExists;
        }
        let is_newest = self.entries.last_key_value().is_none_or(|(newest, _)| *newest < number);
        self.entries.insert(number, bytes.to_vec());
        if is_newest {
            self.history.push(self.read(number).expect("it was just made").entry);
        }
        CreateOutcome::Created
    }

    fn create(&mut self, number: EntryNumber, bytes: &[u8], fate: Fate) -> CreateOutcome {
        match fate {
            Fate::Fine => self.apply(number, bytes),
            Fate::AppliedButLost => {
                self.apply(number, bytes);
                CreateOutcome::Unknown
            }
            Fate::NotApplied => CreateOutcome::Unknown,
            Fate::Late => {
                self.late.push((number, bytes.to_vec()));
                CreateOutcome::Unknown
            }
        }
    }

    /// A node that takes the job over from the newest entry, as a real one would read it.
    fn take_over(&mut self) -> Node {
        let nonce = self.nonce();
        let Some(number) = self.entries.keys().next_back().copied() else {
            return Node::new(Ownership::start(&start(nonce, 2), started()).expect("entry 0 is sound"));
        };
        let newest = self.read(number).expect("it was listed");
        let retained = newest.entry.retained.iter().filter_map(|kept| Some((kept.number, self.read(kept.number)?)));
        let retained = retained.collect();
        Node::new(Ownership::take_over(&start(nonce, 2), newest, &retained).expect("the job runs"))
    }

    /// Publishes as an idempotent sink does: from predecessor to successor, or not at all.
    fn publish(&mut self, node: &mut Node) {
        let Some(publication) = &mut node.publication else { return };
        let Some(outbox) = publication.due(&sink()).cloned() else { return };
        if self.marker == outbox.predecessor || self.careless_sink {
            let names = outbox.parts.iter().filter_map(|part| part.blob.object()).map(|object| object.name.clone());
            self.published.extend(names);
            self.marker = Some(outbox.checkpoint);
        }
        if self.marker >= Some(outbox.checkpoint) {
            publication.published(&sink(), outbox.checkpoint);
        }
    }

    /// Deletes what the owner says may go, and crashes after some calls.
    fn collect(&mut self, node: &mut Node, crash_after: usize) {
        let Some(confirmed) = node.confirmed else { return };
        for (number, _) in self.entries.clone() {
            if node.ownership.is_dropped(number) {
                node.ownership.found_dropped(&self.read(number).expect("it was listed").entry);
            }
        }
        let deletion = garbage::dropped(&node.ownership, confirmed);
        let mut calls = crash_after;
        for object in &deletion.objects {
            let Some(left) = calls.checked_sub(1) else { return };
            calls = left;
            self.objects.remove(object);
        }
        for entry in &deletion.entries {
            let Some(left) = calls.checked_sub(1) else { return };
            calls = left;
            self.entries.remove(entry);
            node.ownership.deleted(*entry);
        }
    }

    /// Deletes orphans, without any grace: what is named must not depend on it.
    fn sweep(&mut self, node: &Node) {
        let Some(confirmed) = node.confirmed else { return };
        let listed: Vec<Listed> = self
            .objects
            .iter()
            .map(|(name, made_by)| Listed { name: name.clone(), made_by: *made_by, modified: 0 })
            .collect();
        for name in garbage::orphans(&node.ownership, confirmed, &listed, &node.uploaded, 1, 0) {
            self.objects.remove(&name);
        }
    }

    /// What must hold at every moment.
    fn check(&self) -> Result<(), TestCaseError> {
        self.check_chain()?;
        self.check_objects()?;
        self.check_published()
    }

    /// The history is one chain, and its newest entry is there, with all that it retains.
    fn check_chain(&self) -> Result<(), TestCaseError> {
        for pair in self.history.windows(2) {
            prop_assert_eq!(pair[1].number, pair[0].number.next());
            prop_assert!(pair[1].highest_checkpoint >= pair[0].highest_checkpoint);
            let parent = weir_protocol::chain::EntryHash::of(&pair[0].encode());
            prop_assert_eq!(pair[1].parent, Some(parent), "the winner's entry is what the other goes on from");
        }
        let Some(newest) = self.history.last() else { return Ok(()) };
        prop_assert!(self.entries.contains_key(&newest.number), "the newest entry was deleted");
        for kept in &newest.retained {
            let entry = self.read(kept.number);
            prop_assert_eq!(entry.map(|entry| entry.hash), Some(kept.hash), "a retained entry is gone");
        }
        Ok(())
    }

    /// Everything that can be restored is there.
    fn check_objects(&self) -> Result<(), TestCaseError> {
        let Some(newest) = self.history.last() else { return Ok(()) };
        let retained = newest.retained.iter().filter_map(|kept| self.read(kept.number)).map(|kept| kept.entry);
        for entry in retained.chain([newest.clone()]) {
            for object in entry.manifest.objects() {
                let there = self.objects.contains_key(&object.name);
                prop_assert!(there, "{} of entry {} was deleted", object.name, entry.number);
            }
        }
        Ok(())
    }

    /// What is published is what the history sealed, in that order, each once; the rest is still named.
    fn check_published(&self) -> Result<(), TestCaseError> {
        let mut sealed = BTreeMap::new();
        for outbox in self.history.iter().flat_map(|entry| &entry.manifest.outboxes) {
            sealed.insert(outbox.checkpoint, outbox.clone());
        }
        let done = sealed.values().filter(|outbox| Some(outbox.checkpoint) <= self.marker);
        let names = done.flat_map(|outbox| &outbox.parts).filter_map(|part| part.blob.object());
        let names: Vec<_> = names.map(|object| object.name.clone()).collect();
        prop_assert_eq!(&self.published, &names);
        let Some(newest) = self.history.last() else { return Ok(()) };
        for checkpoint in sealed.into_keys().filter(|checkpoint| Some(*checkpoint) > self.marker) {
            let named = newest.manifest.outboxes.iter().any(|outbox| outbox.checkpoint == checkpoint);
            prop_assert!(named, "unpublished results of checkpoint {checkpoint} are forgotten");
        }
        Ok(())
    }
}

impl Node {
    fn new(ownership: Ownership) -> Self {
        let manifest = ownership.newest().map(|newest| newest.entry.manifest.clone());
        let subtask = manifest.and_then(|manifest| Some(manifest.operators.into_values().next()?.remove(0)));
        let state = subtask.map_or((None, vec![]), |state| {
            (state.base.map(|file| file.blob), state.files.into_iter().map(|file| file.blob).collect())
        });
        Self { ownership, publication: None, confirmed: None, uploaded: BTreeSet::new(), state, sequence: 0 }
    }

    /// Performs the next call of the entry under way. Returns whether the node goes on.
    fn act(&mut self, world: &mut World, fate: Fate) -> bool {
        let step = match self.ownership.step() {
            Step::Create { number, bytes } => {
                let outcome = world.create(number, &bytes, fate);
                self.ownership.on_create(outcome)
            }
            Step::Look { number } => self.ownership.on_look(look(world.entries.get(&number), number)),
            Step::List { .. } => self.ownership.on_list(world.entries.keys().next_back().copied()),
            step @ (Step::Stands(_) | Step::Lost { .. }) => step,
        };
        match step {
            Step::Stands(confirmed) if self.confirmed != Some(confirmed) => self.stands(confirmed, world),
            Step::Lost { .. } => return false,
            Step::Stands(_) | Step::Create { .. } | Step::Look { .. } | Step::List { .. } => {}
        }
        true
    }

    fn stands(&mut self, confirmed: Confirmed, world: &World) {
        let entry = &self.ownership.newest().expect("it stands").entry;
        self.confirmed = Some(confirmed);
        self.uploaded.clear();
        match &mut self.publication {
            Some(publication) => publication.stands(confirmed, entry),
            None => {
                let mut publication = Publication::begin(confirmed, entry);
                publication.on_marker(&sink(), world.marker).expect("the entries explain the marker");
                self.publication = Some(publication);
            }
        }
    }

    fn upload(&mut self, world: &mut World, what: &str) -> Blob {
        let owner = self.ownership.owner();
        self.sequence += 1;
        let name = format!("{}-{}/{what}-{}", owner.number, owner.nonce, self.sequence);
        world.objects.insert(name.clone(), owner.number);
        self.uploaded.insert(name.clone());
        object(&name, owner.number.0)
    }

    /// Uploads a checkpoint and begins to append its entry; a node whose last entry is undecided waits.
    fn checkpoint(&mut self, world: &mut World, rebase: bool, results: bool) {
        if !matches!(self.ownership.step(), Step::Stands(_)) || self.publication.is_none() {
            return;
        }
        let id = self.ownership.highest_checkpoint().next();
        if rebase {
            self.state = (Some(self.upload(world, "base")), vec![]);
        } else {
            let file = self.upload(world, "file");
            self.state.1.push(file);
        }
        let parts = results.then(|| OutboxPart {
            subtask: subtask("sink", 0),
            epoch: id,
            blob: self.upload(world, "outbox"),
            records: 1,
        });
        let publication = self.publication.as_ref().expect("it was looked at");
        let manifest = Manifest {
            outboxes: publication.outboxes(id, BTreeMap::from([(sink(), parts.into_iter().collect())])),
            ..checkpoint(id.0, self.state.0.clone(), self.state.1.clone())
        };
        let next = Next {
            nonce: Nonce(world.nonce()),
            at: 0,
            kind: EntryKind::Checkpoint,
            manifest,
            published: publication.confirmations(),
        };
        self.ownership.append(next).expect("what an owner assembles holds together");
    }
}

/// Performs one move.
fn perform(world: &mut World, nodes: &mut Vec<Node>, step: Move) {
    let pick = |which: prop::sample::Index| (!nodes.is_empty()).then(|| which.index(nodes.len()));
    match step {
        Move::TakeOver => nodes.push(world.take_over()),
        Move::Act(which, fate) => {
            if let Some(node) = pick(which)
                && !nodes[node].act(world, fate)
            {
                nodes.remove(node);
            }
        }
        Move::Checkpoint { node, rebase, results } => {
            if let Some(node) = pick(node) {
                nodes[node].checkpoint(world, rebase, results);
            }
        }
        Move::Publish(which) => {
            if let Some(node) = pick(which) {
                world.publish(&mut nodes[node]);
            }
        }
        Move::Collect { node, crash_after } => {
            // Whoever has an entry under way collects after it.
            if let Some(node) = pick(node)
                && matches!(nodes[node].ownership.step(), Step::Stands(_))
            {
                world.collect(&mut nodes[node], crash_after);
            }
        }
        Move::Sweep(which) => {
            if let Some(node) = pick(which)
                && matches!(nodes[node].ownership.step(), Step::Stands(_))
            {
                world.sweep(&nodes[node]);
            }
        }
        Move::Crash(which) => {
            if let Some(node) = pick(which) {
                nodes.remove(node);
            }
        }
        Move::Arrive(which) => {
            if !world.late.is_empty() {
                let (number, bytes) = world.late.remove(which.index(world.late.len()));
                world.apply(number, &bytes);
            }
        }
    }
}

/// One node alone, in a store that is well: it takes over, publishes everything, and its next entry confirms it.
fn come_to_rest(world: &mut World) -> Result<(), TestCaseError> {
    let mut node = world.take_over();
    while node.publication.is_none() {
        prop_assert!(node.act(world, Fate::Fine), "nobody else is there");
    }
    while node.publication.as_ref().is_some_and(|publication| publication.due(&sink()).is_some()) {
        world.publish(&mut node);
    }
    node.checkpoint(world, true, false);
    while !matches!(node.ownership.step(), Step::Stands(_)) {
        prop_assert!(node.act(world, Fate::Fine), "nobody else is there");
    }
    world.collect(&mut node, usize::MAX);
    let newest = world.history.last().expect("it was just made");
    prop_assert_eq!(&newest.manifest.outboxes, &vec![], "everything is published and confirmed");
    prop_assert_eq!(world.entries.len(), newest.retained.len() + 1, "nothing that was dropped is left");
    Ok(())
}

/// Performs all calls of the entry under way, in a store that is well.
fn settle(node: &mut Node, world: &mut World) -> bool {
    while node.act(world, Fate::Fine) {
        if matches!(node.ownership.step(), Step::Stands(_)) {
            return true;
        }
    }
    false
}

/// A job whose first owner is paused after checkpoint 1, and whose second has taken it over and gone on to checkpoint
/// `checkpoints`, deleting what it dropped.
fn paused_and_taken_over(world: &mut World, checkpoints: usize) -> (Node, Node) {
    let mut paused = world.take_over();
    assert!(settle(&mut paused, world));
    paused.checkpoint(world, false, true);
    assert!(settle(&mut paused, world));
    let mut second = world.take_over();
    assert!(settle(&mut second, world));
    for _ in 1..checkpoints {
        second.checkpoint(world, false, true);
        assert!(settle(&mut second, world));
        world.collect(&mut second, usize::MAX);
    }
    (paused, second)
}

#[test]
fn owner_that_was_paused_wins_a_deleted_number_and_still_learns_that_it_lost() {
    let mut world = World::default();
    let (mut paused, _second) = paused_and_taken_over(&mut world, 6);
    paused.checkpoint(&mut world, true, false);
    assert!(!settle(&mut paused, &mut world));
    world.check().expect("the chain, the objects and the results are right");
}

#[test]
fn without_the_listing_it_deletes_what_the_job_needs() {
    let mut world = World::default();
    let (mut paused, _second) = paused_and_taken_over(&mut world, 6);
    for _ in 0..2 {
        paused.checkpoint(&mut world, true, false);
        let Step::Create { number, bytes } = paused.ownership.step() else { panic!("an entry is under way") };
        let outcome = world.create(number, &bytes, Fate::Fine);
        assert_eq!(paused.ownership.on_create(outcome), Step::List { from: number });
        let Step::Stands(confirmed) = paused.ownership.on_list(Some(number)) else { panic!("the listing is made up") };
        paused.stands(confirmed, &world);
        world.collect(&mut paused, usize::MAX);
    }
    let broken = world.check().expect_err("it deleted the file of checkpoint 1");
    assert!(broken.to_string().contains("was deleted"), "{broken}");
}

#[test]
fn without_the_look_it_publishes_what_is_in_no_entry() {
    let mut world = World::default();
    let mut first = world.take_over();
    assert!(settle(&mut first, &mut world));
    first.checkpoint(&mut world, false, true);
    let Step::Create { number, .. } = first.ownership.step() else { panic!("an entry is under way") };
    let mut second = world.take_over();
    assert!(settle(&mut second, &mut world));
    // The create was refused, as the number is the second's; the first takes the error for a success.
    first.ownership.on_create(CreateOutcome::Created);
    let Step::Stands(confirmed) = first.ownership.on_list(Some(number)) else { panic!("nothing is above it") };
    first.stands(confirmed, &world);
    world.publish(&mut first);
    assert!(world.check().is_err(), "what it published is in no entry");
}

#[test]
fn without_the_marker_two_owners_publish_twice() {
    let outcomes = [false, true].map(|careless_sink| {
        let mut world = World { careless_sink, ..World::default() };
        let (mut paused, mut second) = paused_and_taken_over(&mut world, 1);
        world.publish(&mut second);
        world.publish(&mut paused);
        world.check().is_ok()
    });
    assert_eq!(outcomes, [true, false]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn owners_at_once_keep_one_chain_publish_each_result_once_and_delete_nothing_that_is_needed(
        schedule in vec(moves(), 0..150),
    ) {
        let mut world = World::default();
        let mut nodes = Vec::new();
        for step in schedule {
            perform(&mut world, &mut nodes, step);
            world.check()?;
        }
        come_to_rest(&mut world)?;
        world.check()?;
    }
}
