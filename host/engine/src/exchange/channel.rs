//! One bounded channel from one subtask to another, and how the subtasks of an edge are wired.

use tokio::sync::mpsc;
use weir_protocol::job_spec::PartitionSpec;

use super::Element;

/// How many elements a channel holds before its sender waits. Few: what lies in a channel is latency and memory, and
/// a barrier has to pass behind it; batches are big enough (up to [`super::BATCH_BYTES_MAX`]) to keep both sides busy.
pub const CHANNEL_ELEMENTS: usize = 4;

/// The sending end; [`super::Outputs`] alone uses it.
#[derive(Debug)]
pub struct ChannelSender {
    sender: mpsc::Sender<Element>,
}

/// The receiving end; [`super::Inputs`] alone uses it.
#[derive(Debug)]
pub struct ChannelReceiver {
    pub(super) receiver: mpsc::Receiver<Element>,
}

/// The receiving subtask has gone: it failed or was stopped. Never the first failure of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a downstream subtask has gone")]
pub struct Closed;

/// A channel of [`CHANNEL_ELEMENTS`].
#[must_use]
pub fn channel() -> (ChannelSender, ChannelReceiver) {
    let (sender, receiver) = mpsc::channel(CHANNEL_ELEMENTS);
    (ChannelSender { sender }, ChannelReceiver { receiver })
}

impl ChannelSender {
    /// Whether everything that was sent has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }

    /// Whether an element can be sent without waiting.
    pub(super) fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// Waits for room; the element is made only once there is some, so that dropping the future loses nothing.
    pub(super) async fn send_with(&self, element: impl FnOnce() -> Element) -> Result<(), Closed> {
        self.reserve().await?.send(element());
        Ok(())
    }

    /// Waits for room for one element.
    pub(super) async fn reserve(&self) -> Result<mpsc::Permit<'_, Element>, Closed> {
        self.sender.reserve().await.map_err(|_closed| Closed)
    }
}

/// The channels of one edge of the graph: between every two subtasks that it connects.
#[derive(Debug)]
pub struct Connection {
    /// For each upstream subtask its targets: all downstream subtasks in order, or on a forward edge the one.
    pub senders: Vec<Vec<ChannelSender>>,
    /// For each downstream subtask its channels, in the order of the upstream subtasks.
    pub receivers: Vec<Vec<ChannelReceiver>>,
}

/// Wires an edge from `upstream` to `downstream` subtasks.
///
/// # Panics
/// When a forward edge joins different parallelisms; the job graph refuses such a job.
#[must_use]
pub fn connect(partition: &PartitionSpec, upstream: u32, downstream: u32) -> Connection {
    let mut senders = Vec::new();
    let mut receivers: Vec<Vec<ChannelReceiver>> = (0..downstream).map(|_| Vec::new()).collect();
    let forward = matches!(partition, PartitionSpec::Forward);
    assert!(!forward || upstream == downstream, "the job graph lets a forward edge join equal parallelisms only");
    for from in 0..upstream as usize {
        let range = if forward { from..from + 1 } else { 0..downstream as usize };
        let targets = receivers[range].iter_mut().map(|receivers| {
            let (sender, receiver) = channel();
            receivers.push(receiver);
            sender
        });
        senders.push(targets.collect());
    }
    Connection { senders, receivers }
}
