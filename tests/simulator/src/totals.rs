//! What runs have done, added up, so that it can be seen that every fault really happens.

use std::fmt;
use std::ops::AddAssign;

macro_rules! totals {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// How often each thing happened.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
            }
        }

        impl Totals {
            /// Name and count of each.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

totals! {
    /// Runs.
    seeds,
    /// Events.
    steps,
    /// Records that operators processed, those of attempts that were lost too.
    records,
    /// Entries that became the newest.
    entries,
    /// Checkpoints recorded.
    checkpoints,
    /// Checkpoints given up.
    aborts,
    /// Checkpoints skipped because nothing had changed.
    skips,
    /// Outboxes published.
    publications,
    /// Takeovers.
    takeovers,
    /// Owners that learned that they had lost.
    losses,
    /// Takeovers that were beaten by the owner whose entry they had read, and tried again.
    beaten_by_late_writes,
    /// Nodes that crashed.
    crashes,
    /// Nodes that were paused.
    pauses,
    /// Store calls that were not performed.
    refused,
    /// Store calls that were performed, and not answered.
    unanswered,
    /// Store calls that were performed after an error had been answered.
    late,
    /// Acknowledgements that were lost.
    lost_acknowledgements,
    /// Acknowledgements that came twice.
    doubled_acknowledgements,
    /// New bases.
    rebases,
    /// Attempts at another parallelism.
    rescales,
    /// Rollbacks.
    rollbacks,
    /// Forks.
    forks,
    /// Unaligned checkpoints with channel state.
    channel_states,
    /// Subtasks that started from local disk.
    disk_starts,
    /// Objects deleted because nothing named them any more.
    deleted,
    /// Runs at whose end all that was dropped was gone.
    collected,
    /// Orphans deleted.
    orphans,
    /// Sources that were idle for a time.
    idlings,
    /// Barriers that came to an operator after all its inputs had ended.
    barriers_at_the_end,
    /// Slots of the ingest log that were acknowledged.
    ingested,
    /// Objects that were damaged.
    damages,
    /// Jobs that finished.
    finished,
    /// Jobs that were cancelled.
    cancelled,
}

/// One line a count.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rows() {
            writeln!(f, "{:<26} {count:>12}", name.replace('_', " "))?;
        }
        Ok(())
    }
}
