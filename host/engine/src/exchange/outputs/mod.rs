//! The sending side of a task: ports, their edges, and the channels behind them.
//!
//! What is sent to one port keeps its order on each edge. A batch goes out at once when its receiver has taken
//! everything, and is gathered with others while the receiver is busy, up to a bound; no timer takes part. So a task
//! has to [`Outputs::flush`] before it waits for anything but its outputs.

use std::borrow::Cow;
use std::sync::Arc;

use weir_operator::batch::Batch;
use weir_operator::turn::{Emission, Work};
use weir_protocol::key_group::MaxParallelism;

use super::edge::{Edge, Route};
use super::resolve::Resolver;
use super::{Closed, Element};
use crate::metrics::SubtaskMetrics;
use crate::rejected::RejectedRecord;

/// A batch that is being gathered is sent once it holds this many records.
pub const BATCH_ROWS_MAX: u32 = 4_096;

/// A batch that is being gathered is sent once it holds this many bytes; it passes them by at most one record.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// All outputs of a task. Futures of its methods are to be awaited to their end, except those of [`Self::flush`].
#[derive(Debug)]
pub struct Outputs {
    ports: Vec<Vec<Route>>,
    metrics: Arc<SubtaskMetrics>,
}

impl Outputs {
    /// `ports[i]` holds the edges of the operator's output `i`; a source has one port. A port may have no edge: what
    /// is sent to it is dropped.
    #[must_use]
    pub fn new(max_parallelism: MaxParallelism, ports: Vec<Vec<Edge>>, metrics: Arc<SubtaskMetrics>) -> Self {
        let route = |edge| Route::new(edge, max_parallelism);
        Self { ports: ports.into_iter().map(|edges| edges.into_iter().map(route).collect()).collect(), metrics }
    }

    /// Sends a whole batch to a port, as a source does. Gives back the records that an edge could not place.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn send(&mut self, port: u32, batch: Batch) -> Result<Vec<RejectedRecord>, Closed> {
        let mut rejected = Vec::new();
        self.send_to_edges(port, batch, &mut rejected).await?;
        Ok(rejected)
    }

    /// Sends what a call emitted, in order, with keys, event times and headers as its work gives them. Gives back the
    /// records that an edge could not place.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn emit(&mut self, work: &Work, emissions: Vec<Emission>) -> Result<Vec<RejectedRecord>, Closed> {
        let mut rejected = Vec::new();
        let mut resolver = Resolver::new(work);
        for Emission { port, records } in emissions {
            self.send_to_edges(port, resolver.resolve(records), &mut rejected).await?;
        }
        Ok(rejected)
    }

    /// Sends what was gathered. To be called whenever the task is about to wait. Cancel-safe: what is not sent yet
    /// stays gathered.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn flush(&mut self) -> Result<(), Closed> {
        for edge in self.ports.iter_mut().flatten() {
            edge.flush().await?;
        }
        Ok(())
    }

    /// Sends a watermark, idleness, a barrier or the end to all targets of all ports, behind what was sent.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn broadcast(&mut self, element: Element) -> Result<(), Closed> {
        for edge in self.ports.iter_mut().flatten() {
            edge.broadcast(&element).await?;
        }
        Ok(())
    }

    async fn send_to_edges(
        &mut self,
        port: u32,
        batch: Batch,
        rejected: &mut Vec<RejectedRecord>,
    ) -> Result<(), Closed> {
        if batch.rows == 0 {
            return Ok(());
        }
        self.metrics.records_out.add(batch.rows.into());
        self.metrics.bytes_out.add(u64::try_from(batch.bytes()).unwrap_or(u64::MAX));
        let Some((last, others)) = self.ports[port as usize].split_last_mut() else { return Ok(()) };
        for edge in others {
            edge.send(Cow::Borrowed(&batch), rejected).await?;
        }
        last.send(Cow::Owned(batch), rejected).await
    }
}

#[cfg(test)]
mod tests;
