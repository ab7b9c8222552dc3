//! The receiving side of a task: all its channels as one stream.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::mpsc::error::TryRecvError;

use super::{ChannelReceiver, Element};

/// Which of a task's channels, from 0, in the order given to [`Inputs::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputIndex(pub usize);

/// One channel from one upstream subtask.
#[derive(Debug)]
pub struct InputChannel {
    /// The operator's declared input that it feeds; 0 for sinks.
    pub input: u32,
    /// The channel.
    pub receiver: ChannelReceiver,
}

/// An upstream subtask has gone without [`Element::End`]: it failed or was stopped. Never the first failure of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream subtask behind channel {} has gone", .0.0)]
pub struct Abandoned(pub InputIndex);

/// All channels of a task. Takes from those that have something in turn, and not at all from blocked ones.
#[derive(Debug)]
pub struct Inputs {
    channels: Vec<Channel>,
    /// Where the next look begins: behind the channel that was served last.
    turn: usize,
    open: usize,
}

#[derive(Debug)]
struct Channel {
    input: u32,
    receiver: ChannelReceiver,
    is_blocked: bool,
    has_ended: bool,
}

impl Inputs {
    /// All channels of one task; at least one.
    #[must_use]
    pub fn new(channels: Vec<InputChannel>) -> Self {
        let channels: Vec<Channel> = channels
            .into_iter()
            .map(|InputChannel { input, receiver }| Channel { input, receiver, is_blocked: false, has_ended: false })
            .collect();
        Self { turn: 0, open: channels.len(), channels }
    }

    /// The number of channels, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Whether there is no channel at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// The operator's declared input that a channel feeds.
    #[must_use]
    pub fn input(&self, index: InputIndex) -> u32 {
        self.channels[index.0].input
    }

    /// The next element of any channel that is not blocked, and which channel it came from; `None` once every channel
    /// has ended. [`Element::End`] itself is handed out, once a channel. Cancel-safe: a future that is dropped took
    /// nothing. While every open channel is blocked it waits for ever, which alignment never lets happen.
    ///
    /// # Errors
    /// [`Abandoned`]
    pub async fn next(&mut self) -> Result<Option<(InputIndex, Element)>, Abandoned> {
        if self.open == 0 {
            return Ok(None);
        }
        poll_fn(|context| self.poll(context)).await.map(Some)
    }

    /// As [`Self::next`], but `None` also where nothing has arrived yet.
    ///
    /// # Errors
    /// [`Abandoned`]
    pub fn try_next(&mut self) -> Result<Option<(InputIndex, Element)>, Abandoned> {
        for index in self.in_turn() {
            let channel = &mut self.channels[index];
            if !channel.is_readable() {
                continue;
            }
            match channel.receiver.receiver.try_recv() {
                Ok(element) => return Ok(Some(self.take(index, element))),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(Abandoned(InputIndex(index))),
            }
        }
        Ok(None)
    }

    /// Whether every channel has ended.
    #[must_use]
    pub const fn have_ended(&self) -> bool {
        self.open == 0
    }

    /// Takes nothing more from a channel until [`Self::unblock_all`].
    pub fn block(&mut self, index: InputIndex) {
        self.channels[index.0].is_blocked = true;
    }

    /// Takes from every channel again.
    pub fn unblock_all(&mut self) {
        for channel in &mut self.channels {
            channel.is_blocked = false;
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(InputIndex, Element), Abandoned>> {
        for index in self.in_turn() {
            let channel = &mut self.channels[index];
            if !channel.is_readable() {
                continue;
            }
            match channel.receiver.receiver.poll_recv(context) {
                Poll::Ready(Some(element)) => return Poll::Ready(Ok(self.take(index, element))),
                Poll::Ready(None) => return Poll::Ready(Err(Abandoned(InputIndex(index)))),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let (turn, len) = (self.turn, self.channels.len());
        (turn..len).chain(0..turn)
    }

    fn take(&mut self, index: usize, element: Element) -> (InputIndex, Element) {
        self.turn = (index + 1) % self.channels.len();
        if matches!(element, Element::End) {
            self.channels[index].has_ended = true;
            self.open -= 1;
        }
        (InputIndex(index), element)
    }
}

impl Channel {
    const fn is_readable(&self) -> bool {
        !self.is_blocked && !self.has_ended
    }
}

#[cfg(test)]
mod tests;
