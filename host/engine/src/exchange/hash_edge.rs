//! An edge on which each row goes to the subtask that owns its key.

use weir_operator::batch::{Batch, Keys, NO_KEY, Rows};
use weir_protocol::key_group::MaxParallelism;

use super::builder::{BatchBuilder, KeyMap};
use super::{ChannelSender, Closed, Element};

/// Several targets, each with a batch in the making.
#[derive(Debug)]
pub(super) struct HashEdge {
    max_parallelism: MaxParallelism,
    /// The target that owns each key group.
    owners: Vec<u32>,
    targets: Vec<Target>,
    /// Of the batch that is being spread: the target of each distinct key.
    target_of: Vec<u32>,
    map: KeyMap,
}

#[derive(Debug)]
struct Target {
    sender: ChannelSender,
    builder: BatchBuilder,
    /// Of the batch that is being spread: the rows that go here.
    rows: Vec<u32>,
}

impl HashEdge {
    pub(super) fn new(max_parallelism: MaxParallelism, targets: Vec<ChannelSender>) -> Self {
        let parallelism = u32::try_from(targets.len()).expect("a parallelism is at most 2^15");
        let groups = u64::from(max_parallelism.get());
        // A hash below the number of groups is its own group.
        let owner = |group| max_parallelism.subtask(max_parallelism.key_group(group), parallelism);
        let target = |sender| Target { sender, builder: BatchBuilder::default(), rows: Vec::new() };
        Self {
            max_parallelism,
            owners: (0..groups).map(owner).collect(),
            targets: targets.into_iter().map(target).collect(),
            target_of: Vec::new(),
            map: KeyMap::default(),
        }
    }

    /// Spreads the rows that have a key; sends to idle targets, and gathers for busy ones.
    pub(super) async fn send(&mut self, batch: &Batch, keys: &Keys) -> Result<(), Closed> {
        self.spread(keys);
        self.map.reset(keys.count());
        for target in &mut self.targets {
            target.append(batch, keys, &mut self.map).await?;
            if target.sender.is_empty() {
                target.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what was gathered. Cancel-safe.
    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        for target in &mut self.targets {
            target.flush().await?;
        }
        Ok(())
    }

    /// Sends something else than a batch to all targets, behind what was sent.
    pub(super) async fn broadcast(&mut self, element: &Element) -> Result<(), Closed> {
        for target in &mut self.targets {
            target.flush().await?;
            target.sender.send_with(|| element.clone()).await?;
        }
        Ok(())
    }

    fn spread(&mut self, keys: &Keys) {
        let owner = |&hash: &u64| self.owners[usize::from(self.max_parallelism.key_group(hash).0)];
        self.target_of.clear();
        self.target_of.extend(keys.hashes.iter().map(owner));
        for target in &mut self.targets {
            target.rows.clear();
        }
        for (row, &key) in (0_u32..).zip(&keys.key_of) {
            if key != NO_KEY {
                self.targets[self.target_of[key as usize] as usize].rows.push(row);
            }
        }
    }
}

impl Target {
    async fn append(&mut self, batch: &Batch, keys: &Keys, map: &mut KeyMap) -> Result<(), Closed> {
        let rows = std::mem::take(&mut self.rows);
        let mut rest = Rows::These(&rows);
        while !rest.is_empty() {
            let (first, later) = rest.split_at(self.builder.room(batch, &rest));
            self.builder.append(batch, Some(keys), &first, map);
            if self.builder.is_full() {
                self.flush().await?;
                // Keys of other targets are forgotten as well; each target's rows are appended in one go.
                map.reset(keys.count());
            }
            rest = later;
        }
        self.rows = rows;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let builder = &mut self.builder;
        self.sender.send_with(|| Element::Batch(builder.take())).await
    }
}
