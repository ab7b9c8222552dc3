//! What actors ask of the store and of the sink, and what they are answered.

use std::rc::Rc;
use std::sync::Arc;

use weir_protocol::chain::{RunEntry, SpecEntry, Stored};
use weir_protocol::garbage::Listed;
use weir_protocol::id::{CheckpointId, EntryNumber, SubtaskId};

use crate::data::{Content, Outcome};

pub(crate) type Entry = Rc<Stored<RunEntry>>;

/// A call.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Creates an entry, if it is absent.
    Create {
        number: EntryNumber,
        bytes: Arc<[u8]>,
    },
    /// Reads entries.
    Entries(Vec<EntryNumber>),
    /// Lists the chain.
    Numbers {
        from: EntryNumber,
    },
    /// Reads the newest entry of the other chain.
    Spec,
    Put {
        name: String,
        made_by: EntryNumber,
        content: Rc<Content>,
    },
    Read(Vec<String>),
    Delete(String),
    DeleteEntry(EntryNumber),
    /// Lists objects.
    Objects,
    /// Writes a pin.
    Pin(ActorPin),
    Unpin(ActorPin),
    /// Lists pins.
    Pins,
    /// Creates a slot of the ingest log, if it is absent; without a request, one that closes the log.
    CreateSlot {
        slot: u64,
        request: Option<u32>,
    },
    /// Lists and reads slots.
    Slots {
        from: u64,
    },
    DeleteSlot(u64),
    /// Reads the sink's marker.
    Marker,
    /// Has the sink refuse owners before this one.
    Fence {
        owner: EntryNumber,
    },
    /// Publishes an outbox in one transaction.
    Publish(Publish),
    /// Publishes a part under its final name.
    Part {
        checkpoint: CheckpointId,
        part: (SubtaskId, Vec<Outcome>),
    },
    /// Publishes the list of an outbox's parts.
    List(Publish),
}

/// The fork that pins.
pub(crate) type ActorPin = usize;

/// An outbox on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    pub(crate) owner: EntryNumber,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) predecessor: Option<CheckpointId>,
    pub(crate) parts: Vec<(SubtaskId, Vec<Outcome>)>,
}

/// What a call is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// An error, or no answer in time.
    Failed,
    Done,
    Created,
    Exists,
    Entries(Vec<Option<Entry>>),
    Numbers(Vec<EntryNumber>),
    Spec(Rc<SpecEntry>),
    Contents(Vec<Option<Rc<Content>>>),
    Objects(Vec<Listed>),
    /// Whether there are any.
    Pins(bool),
    /// Slots in order; `None`: the log is closed with it.
    Slots(Vec<(u64, Option<u32>)>),
    Marker(Option<CheckpointId>),
    /// The sink does not take it: it does not follow the marker, or the owner is fenced.
    Refused,
}

/// What an actor called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Numbers,
    Newest,
    Spec,
    Retained,
    Create,
    Look,
    List,
    /// The entry that beat a takeover is read.
    Winner,
    Leftovers,
    Restore(usize),
    Watch,
    Put(usize),
    Base(usize),
    Merge(usize),
    Slots(usize),
    /// Of which publication of the attempt: what an earlier one is answered counts no more.
    Marker(u8),
    Outbox(u8),
    Publish(u8),
    Pins,
    Delete,
    Objects,
    Fence,
    Close,
    /// Nobody waits for it.
    Nothing,
    Pin,
    Copy,
}

impl Answer {
    pub(crate) const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed)
    }
}

impl Op {
    /// Whether it goes to the sink.
    pub(crate) const fn is_outside(&self) -> bool {
        matches!(self, Self::Marker | Self::Fence { .. } | Self::Publish(_) | Self::Part { .. } | Self::List(_))
    }

    /// Whether it changes something, so that it may have done so though the answer is an error.
    pub(crate) const fn is_write(&self) -> bool {
        !matches!(
            self,
            Self::Entries(_)
                | Self::Numbers { .. }
                | Self::Spec
                | Self::Read(_)
                | Self::Objects
                | Self::Pins
                | Self::Slots { .. }
                | Self::Marker
        )
    }
}
