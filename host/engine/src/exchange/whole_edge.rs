//! An edge on which batches travel whole: forward, rebalance, broadcast, and hash with a single target.

use std::borrow::Cow;

use weir_operator::batch::{Batch, Rows};

use super::builder::{BatchBuilder, KeyMap};
use super::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, ChannelSender, Closed, Element};

/// A batch of this many rows is passed on as it is; copying smaller ones together pays.
const WHOLE_ROWS_MIN: u32 = 512;

/// Who gets a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// One target: the first, from the one whose turn it is, that is idle, else that has room.
    One,
    /// All targets.
    All,
}

/// See the module.
#[derive(Debug)]
pub(super) struct WholeEdge {
    reach: Reach,
    targets: Vec<ChannelSender>,
    turn: usize,
    builder: BatchBuilder,
    map: KeyMap,
}

impl WholeEdge {
    pub(super) fn new(reach: Reach, targets: Vec<ChannelSender>) -> Self {
        Self { reach, targets, turn: 0, builder: BatchBuilder::default(), map: KeyMap::default() }
    }

    /// Sends a batch, or gathers it with others while the receivers are busy.
    pub(super) async fn send(&mut self, batch: Cow<'_, Batch>) -> Result<(), Closed> {
        if self.passes_whole(&batch) {
            self.flush().await?;
            return self.pass(batch.into_owned()).await;
        }
        self.append(&batch).await?;
        if self.wants_more() { Ok(()) } else { self.flush().await }
    }

    /// Sends what was gathered. Cancel-safe.
    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        if self.builder.is_empty() {
            return Ok(());
        }
        match self.reach {
            Reach::One => {
                let target = self.choose();
                let builder = &mut self.builder;
                self.targets[target].send_with(|| Element::Batch(builder.take())).await?;
                self.turn = (target + 1) % self.targets.len();
                Ok(())
            }
            Reach::All => {
                // All permits are there before the batch is taken.
                let permits = futures::future::try_join_all(self.targets.iter().map(ChannelSender::reserve)).await?;
                let batch = self.builder.take();
                for permit in permits {
                    permit.send(Element::Batch(batch.clone()));
                }
                Ok(())
            }
        }
    }

    /// Sends something else than a batch to all targets, behind what was sent.
    pub(super) async fn broadcast(&mut self, element: &Element) -> Result<(), Closed> {
        self.flush().await?;
        for target in &self.targets {
            target.send_with(|| element.clone()).await?;
        }
        Ok(())
    }

    async fn pass(&mut self, batch: Batch) -> Result<(), Closed> {
        match self.reach {
            Reach::One => {
                let target = self.choose();
                self.targets[target].send_with(|| Element::Batch(batch)).await?;
                self.turn = (target + 1) % self.targets.len();
            }
            Reach::All => {
                let (last, others) = self.targets.split_last().expect("an edge has at least one target");
                for target in others {
                    target.send_with(|| Element::Batch(batch.clone())).await?;
                }
                last.send_with(|| Element::Batch(batch)).await?;
            }
        }
        Ok(())
    }

    async fn append(&mut self, batch: &Batch) -> Result<(), Closed> {
        let mut rest = Rows::Range(0..batch.rows);
        self.map.reset(batch.keys.as_ref().map_or(0, |keys| keys.count()));
        while !rest.is_empty() {
            let (rows, later) = rest.split_at(self.builder.room(batch, &rest));
            self.builder.append(batch, batch.keys.as_ref(), &rows, &mut self.map);
            if self.builder.is_full() {
                self.flush().await?;
                self.map.reset(batch.keys.as_ref().map_or(0, |keys| keys.count()));
            }
            rest = later;
        }
        Ok(())
    }

    fn passes_whole(&self, batch: &Batch) -> bool {
        let fits = batch.rows <= BATCH_ROWS_MAX && batch.bytes() <= 2 * BATCH_BYTES_MAX;
        let is_large = batch.rows >= WHOLE_ROWS_MIN || batch.bytes() >= BATCH_BYTES_MAX / 4;
        fits && (is_large || self.builder.is_empty() && !self.wants_more())
    }

    /// Whether gathering on is better than sending now.
    fn wants_more(&self) -> bool {
        match self.reach {
            Reach::One => !self.targets.iter().any(ChannelSender::is_empty),
            Reach::All => {
                !self.targets.iter().any(ChannelSender::is_empty) || !self.targets.iter().all(ChannelSender::has_room)
            }
        }
    }

    fn choose(&self) -> usize {
        let count = self.targets.len();
        let in_turn = |has: fn(&ChannelSender) -> bool| {
            (self.turn..self.turn + count).map(|index| index % count).find(|&index| has(&self.targets[index]))
        };
        in_turn(ChannelSender::is_empty).or_else(|| in_turn(ChannelSender::has_room)).unwrap_or(self.turn)
    }
}
