//! What an operator holds, a page at a time.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use weir_operator::unkeyed_state::UnkeyedValue;
use weir_protocol::Fault;
use weir_protocol::description::TtlDescription;
use weir_protocol::id::{CheckpointId, EntryNumber, Uid};
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, key_hash};
use weir_protocol::manifest::SubtaskManifest;
use weir_protocol::time::{NO_TIME, Timestamp};

use super::mark::{At, UNKEYED};
use super::{Checkpoint, InspectError, Inspector, Item, Mark, Which};
use crate::state::file::{Place, Reader, RowKind};
use crate::state::{Holding, UnkeyedRow, walk};

/// The most items of a page.
pub const ITEMS_MAX: usize = 10_000;
/// A page ends with the item that passes this many bytes of keys and values.
const BYTES_MAX: usize = 4 << 20;
/// A page ends when this many records were looked at, whatever was found. Tests have fewer.
const LOOKS_MAX: u64 = if cfg!(test) { 500 } else { 2_000_000 };
/// How often the newest checkpoint is looked for because the one that was found was dropped before it was read.
const LOOKS_AT_NEWEST_MAX: u32 = 5;

/// What is asked of an operator's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The operator.
    pub operator: Uid,
    /// This state alone.
    pub state: Option<String>,
    /// This key alone.
    pub key: Option<Vec<u8>>,
    /// So many items at most; never more than [`ITEMS_MAX`].
    pub limit: usize,
    /// What comes behind this.
    pub after: Option<Mark>,
    /// How long what states hold lives, as far as it is known: what had expired at the barrier is not shown.
    pub lives: BTreeMap<String, TtlDescription>,
}

/// A page of what an operator holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order of key group, timers before states, states by name, key, and entry or position; what belongs to no key
    /// comes last.
    pub items: Vec<Item>,
    /// Where the next page goes on; `None`: there is no more.
    pub next: Option<Mark>,
}

/// A page that is being filled.
struct Filling {
    ask: Ask,
    page: Page,
    checkpoint: EntryNumber,
    bytes: usize,
    looks: u64,
    /// The subtask's processing time at the barrier.
    now: Timestamp,
    /// Where the last item is, once there is no room behind it.
    full: Option<Mark>,
    known: BTreeSet<String>,
}

impl Inspector {
    /// A page of what an operator holds, and the checkpoint that it is of: that of `after`, where the page goes on.
    ///
    /// # Errors
    /// [`InspectError`]; a file that does not verify is named.
    pub async fn look(&self, which: Which, ask: &Ask) -> Result<(Checkpoint, Page), InspectError> {
        let which = ask.after.as_ref().map_or(which, |after| Which::Entry(after.checkpoint));
        for _ in 1..LOOKS_AT_NEWEST_MAX {
            let checkpoint = self.find(which).await?;
            match self.page(&checkpoint, ask.clone()).await {
                // Whoever owns the job took another checkpoint meanwhile, and dropped this one.
                Err(InspectError::Gone) if which == Which::Newest => {}
                ended => return Ok((checkpoint, ended?)),
            }
        }
        let checkpoint = self.find(which).await?;
        let page = self.page(&checkpoint, ask.clone()).await?;
        Ok((checkpoint, page))
    }

    async fn page(&self, checkpoint: &Checkpoint, ask: Ask) -> Result<Page, InspectError> {
        let page = match self.read_page(checkpoint, ask).await {
            Err(error) if error.fault() == Fault::Corrupt && !self.is_retained(checkpoint).await? => {
                return Err(InspectError::Gone);
            }
            ended => ended?,
        };
        if page.next.is_some() {
            self.holds.extend(self.job, self.clock.now());
        }
        Ok(page)
    }

    async fn read_page(&self, checkpoint: &Checkpoint, ask: Ask) -> Result<Page, InspectError> {
        let Checkpoint { entry, manifest } = checkpoint;
        let subtasks = manifest.operators.get(&ask.operator).ok_or_else(|| InspectError::UnknownOperator {
            checkpoint: checkpoint.id(),
            asked: ask.operator.clone(),
            known: manifest.operators.keys().cloned().collect(),
        })?;
        let wanted = match (&ask.key, &ask.after) {
            (Some(key), _) => one(manifest.max_parallelism.key_group(key_hash(key))),
            (None, Some(after)) => KeyGroupRange { start: after.group(), end: UNKEYED },
            (None, None) => KeyGroupRange { start: 0, end: UNKEYED },
        };
        let (inspector, subtasks) = (self.clone(), subtasks.clone());
        let filling = Filling::new(ask, *entry);
        let filled = self.on_a_thread("look into state", move || filling.fill(&inspector, &subtasks, wanted)).await?;
        filled.page(checkpoint.id())
    }
}

const fn one(group: KeyGroup) -> KeyGroupRange {
    KeyGroupRange { start: group.0, end: group.0 + 1 }
}

impl Filling {
    fn new(ask: Ask, checkpoint: EntryNumber) -> Self {
        let page = Page { items: Vec::new(), next: None };
        Self { ask, page, checkpoint, bytes: 0, looks: 0, now: NO_TIME, full: None, known: BTreeSet::new() }
    }

    /// Looks into one subtask after the other, until the page is full.
    fn fill(
        mut self,
        inspector: &Inspector,
        subtasks: &[SubtaskManifest],
        wanted: KeyGroupRange,
    ) -> Result<Self, InspectError> {
        for subtask in subtasks {
            let key_groups = subtask.key_groups.clip(wanted);
            if key_groups.is_empty() || self.page.next.is_some() {
                continue;
            }
            self.now = subtask.processing_time;
            let files = inspector.open(subtask, key_groups)?;
            let rows = || files.iter().flat_map(|(reader, _)| &reader.header().rows);
            self.known.extend(rows().filter(|row| row.kind != RowKind::Timers).map(|row| row.name.clone()));
            match self.ask.key.clone() {
                Some(key) => self.look_up(&key, files, key_groups)?,
                None => self.list(files, key_groups)?,
            }
        }
        if self.ask.key.is_none() {
            self.list_unkeyed(inspector, subtasks)?;
        }
        Ok(self)
    }

    fn list_unkeyed(&mut self, inspector: &Inspector, subtasks: &[SubtaskManifest]) -> Result<(), InspectError> {
        let mut broadcast = BTreeSet::new();
        for subtask in subtasks {
            for state in inspector.unkeyed(subtask)? {
                self.known.insert(state.name.clone());
                let is_full = self.page.next.is_some();
                if is_full || self.take_unkeyed(subtask.index, &state, &mut broadcast).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn page(self, checkpoint: CheckpointId) -> Result<Page, InspectError> {
        let Self { ask, page, known, .. } = self;
        match ask.state {
            Some(asked) if page.next.is_none() && page.items.is_empty() && !known.contains(&asked) => {
                let known = known.into_iter().collect();
                Err(InspectError::UnknownState { operator: ask.operator, checkpoint, asked, known })
            }
            _ => Ok(page),
        }
    }

    fn list(&mut self, files: Vec<(Reader, KeyGroupRange)>, key_groups: KeyGroupRange) -> Result<(), InspectError> {
        let from = self.ask.after.as_ref().map(Mark::place);
        walk(files, key_groups, from.as_ref(), |holding| self.take_keyed(&holding))?;
        Ok(())
    }

    /// Goes to the key in one state after the other.
    fn look_up(
        &mut self,
        key: &[u8],
        files: Vec<(Reader, KeyGroupRange)>,
        key_groups: KeyGroupRange,
    ) -> Result<(), InspectError> {
        let timers = self.ask.state.is_none().then_some(None);
        let states: Vec<_> = timers.into_iter().chain(self.known.iter().cloned().map(Some)).collect();
        let begun = self.ask.after.as_ref().map(|after| after.state().map(ToOwned::to_owned));
        for state in states.into_iter().filter(|state| begun.as_ref().is_none_or(|begun| begun <= state)) {
            if self.page.next.is_some() || self.ask.state.is_some() && self.ask.state != state {
                continue;
            }
            let place = Place { group: KeyGroup(key_groups.start), state, key: key.to_vec() };
            walk(files.clone(), key_groups, Some(&place), |holding| {
                let is_asked = holding.key == key && At::of(&holding).state == place.state.as_deref();
                if is_asked { self.take_keyed(&holding) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok(())
    }

    /// Takes what is held under a key, if it is asked for.
    fn take_keyed(&mut self, holding: &Holding<'_>) -> ControlFlow<()> {
        let life = self.ask.lives.get(&holding.row.name).copied();
        let has_expired = holding.stamp.zip(life).is_some_and(|(stamp, life)| life.has_expired(stamp, self.now));
        let place = At::of(holding);
        self.take(&place, !has_expired, holding.bytes(), || Item::keyed(holding, life.as_ref()))
    }

    /// Takes what one subtask holds for no key. What is the same on every subtask is shown once.
    fn take_unkeyed(&mut self, subtask: u32, state: &UnkeyedRow, broadcast: &mut BTreeSet<String>) -> ControlFlow<()> {
        let items: Box<dyn Iterator<Item = (Cow<'_, [u8]>, &[u8])>> = match &state.value {
            UnkeyedValue::List(list) => {
                Box::new((0_u64..).zip(list.iter()).map(|(at, value)| (at.to_be_bytes().to_vec().into(), value)))
            }
            UnkeyedValue::Map(map) if broadcast.insert(state.name.clone()) => {
                Box::new(map.iter().map(|(entry, value)| (Cow::from(&entry[..]), &value[..])))
            }
            UnkeyedValue::Map(_) => return ControlFlow::Continue(()),
        };
        for (entry, value) in items {
            let place = At { group: UNKEYED, subtask, state: Some(&state.name), key: &[], entry: &entry };
            let make = || Item::unkeyed(subtask, state, &entry, value);
            self.take(&place, true, entry.len() + value.len(), make)?;
        }
        ControlFlow::Continue(())
    }

    /// Takes what is asked for, until there is more than the page holds.
    fn take(&mut self, at: &At<'_>, is_there: bool, bytes: usize, make: impl FnOnce() -> Item) -> ControlFlow<()> {
        // A page may begin within a key, and has to pass what stands before it there.
        if self.ask.after.as_ref().is_some_and(|after| !after.is_before(at)) {
            return ControlFlow::Continue(());
        }
        self.looks += 1;
        let is_wanted = is_there && self.ask.state.as_deref().is_none_or(|state| at.state == Some(state));
        if is_wanted {
            if self.full.is_some() {
                self.page.next = self.full.take();
                return ControlFlow::Break(());
            }
            self.page.items.push(make());
            self.bytes += bytes;
            let is_full = self.page.items.len() >= self.ask.limit.clamp(1, ITEMS_MAX) || self.bytes >= BYTES_MAX;
            self.full = is_full.then(|| Mark::of(self.checkpoint, at));
        }
        if self.looks >= LOOKS_MAX {
            self.page.next = Some(Mark::of(self.checkpoint, at));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
