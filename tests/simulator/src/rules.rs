//! The rules that a run keeps: all, or all but one.
//!
//! A mutant leaves a rule out where the simulator's actors perform what `host/protocol` decides: they ignore or alter
//! what it said, or do the deed without asking.

use std::fmt;
use std::str::FromStr;

/// Which rules a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    without: Option<Mutant>,
}

impl Rules {
    /// Every rule.
    #[must_use]
    pub const fn all() -> Self {
        Self { without: None }
    }

    /// Every rule but the one that a mutant leaves out.
    #[must_use]
    pub const fn without(mutant: Mutant) -> Self {
        Self { without: Some(mutant) }
    }

    /// The rule that is left out, if one is.
    #[must_use]
    pub const fn mutant(self) -> Option<Mutant> {
        self.without
    }

    pub(crate) fn lacks(self, mutant: Mutant) -> bool {
        self.without == Some(mutant)
    }
}

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $rule:literal;)+) => {
        /// A rule that can be left out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What it is called: `skip-alignment`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The rule that it leaves out: `PROTOCOL 2.5`; `with forks`: one that is not on the page yet, as it joins that with
            /// its feature.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self {
                    $(Self::$variant => $rule,)+
                }
            }
        }
    };
}

mutants! {
    /// An entry that is there is overwritten.
    OverwriteEntries = "overwrite-entries", "PROTOCOL 1.1";
    /// An error of a create is taken for 'not applied': the checkpoint is given up, and its objects are deleted.
    ErrorIsNotApplied = "error-is-not-applied", "PROTOCOL 1.2";
    /// A create that was refused or not answered counts as won; nobody looks.
    NeverLook = "never-look", "PROTOCOL 1.2";
    /// Other bytes, with the same nonce, are sent for a number whose first create is not settled.
    OtherBytes = "other-bytes", "PROTOCOL 1.2";
    /// Entry 0 does not hold where the sources start.
    StartWithoutPositions = "start-without-positions", "PROTOCOL 1.3";
    /// Results are published when everything is acknowledged, before the entry exists.
    PublishBeforeEntry = "publish-before-entry", "PROTOCOL 1.4";
    /// An owner whose number is taken appends to whatever is the newest by then.
    NextFreeNumber = "next-free-number", "PROTOCOL 1.4";
    /// The chain is not listed after an entry was created.
    NeverList = "never-list", "PROTOCOL 1.4";
    /// Object names hold neither the owner's number nor its nonce.
    NamesWithoutOwner = "names-without-owner", "PROTOCOL 1.6";
    /// After a rollback, checkpoint ids go on from the one that was restored.
    ReuseNumbers = "reuse-numbers", "PROTOCOL 1.7";
    /// Where the newest entry cannot be restored, an older one is, and nobody is asked.
    OlderEntry = "older-entry", "PROTOCOL 1.8";
    /// A new base also takes the place of segments closed after its merge began.
    BaseCoversTooMuch = "base-covers-too-much", "PROTOCOL 2.1";
    /// A segment closed for a checkpoint that was aborted is listed no more.
    ForgetAbortedSegment = "forget-aborted-segment", "PROTOCOL 2.1";
    /// Checkpoints are triggered however much is closed and not durable.
    TriggerWithoutRoom = "trigger-without-room", "PROTOCOL 2.1";
    /// A subtask acknowledges before what it closed is in the store.
    AcknowledgeBeforeUpload = "acknowledge-before-upload", "PROTOCOL 2.1";
    /// Local disk is used whatever its mark says.
    DiskWithoutMark = "disk-without-mark", "PROTOCOL 2.2";
    /// Files are read whole, not only the key groups that count.
    NoClipping = "no-clipping", "PROTOCOL 2.3";
    /// What was removed leaves no tombstone.
    DropTombstones = "drop-tombstones", "PROTOCOL 2.4";
    /// An input that waits for a barrier is read.
    SkipAlignment = "skip-alignment", "PROTOCOL 2.5";
    /// Outputs that were committed and not sent are not part of an unaligned checkpoint.
    ForgetUnsent = "forget-unsent", "PROTOCOL 2.5";
    /// What arrives on an input before its barrier, but after the first one, is not part of an unaligned checkpoint.
    ForgetArriving = "forget-arriving", "PROTOCOL 2.5";
    /// Two unaligned checkpoints are on their way at once.
    TwoAtOnce = "two-at-once", "PROTOCOL 2.5";
    /// On a rescale, what was on its way is not split by key group.
    RowsNotSplit = "rows-not-split", "PROTOCOL 2.5";
    /// A subtask is restored with the highest watermark of those that contribute.
    WatermarkMaximum = "watermark-maximum", "PROTOCOL 2.6";
    /// A watermark goes on before the outputs of the timers that it fired.
    WatermarkBeforeTimers = "watermark-before-timers", "PROTOCOL 2.6";
    /// A task takes a barrier from the coordinator while inputs of it may still bring what comes before.
    BarrierBeforeTheEnd = "barrier-before-the-end", "PROTOCOL 2.7";
    /// Manifests do not say who has finished.
    ForgetFinished = "forget-finished", "PROTOCOL 2.7";
    /// The job ends when all subtasks have, without a last checkpoint.
    EndWithoutCheckpoint = "end-without-checkpoint", "PROTOCOL 2.7";
    /// A rollback reads the sink's marker without keeping earlier owners out.
    RollBackWithoutFence = "roll-back-without-fence", "PROTOCOL 3.1";
    /// The marker moves before the results are there.
    MarkBeforePublish = "mark-before-publish", "PROTOCOL 3.1";
    /// Each half of a sink's parts has a publisher of its own.
    TwoPublishers = "two-publishers", "PROTOCOL 3.1";
    /// The sink takes an outbox whatever its marker says.
    NoPredecessor = "no-predecessor", "PROTOCOL 3.1";
    /// What was sealed for a checkpoint that was aborted is not part of the next outbox.
    ForgetAbortedResults = "forget-aborted-results", "PROTOCOL 3.2";
    /// Manifests do not name outboxes that were sent and never answered for.
    ConfirmUnpublished = "confirm-unpublished", "PROTOCOL 3.2";
    /// An outbox that no entry confirms does not count as a change.
    NeverConfirm = "never-confirm", "PROTOCOL 3.2";
    /// Sources go on however much is sealed and not published.
    NeverPause = "never-pause", "PROTOCOL 3.2";
    /// A cancelled job ends at once.
    CancelWithoutPublishing = "cancel-without-publishing", "PROTOCOL 3.3";
    /// A rollback goes to any retained entry, whatever was published since.
    RollBackPastPublished = "roll-back-past-published", "with rollbacks";
    /// A slot is acknowledged once it is written.
    AcknowledgeWithoutLooking = "acknowledge-without-looking", "with HTTP ingest";
    /// Slots go once the newest entry is beyond them, whatever older entries need.
    SlotsBelowNewest = "slots-below-newest", "with HTTP ingest";
    /// The job ends without closing its ingest log.
    EndWithoutClosing = "end-without-closing", "with HTTP ingest";
    /// What an entry drops is not deleted.
    NeverCollect = "never-collect", "PROTOCOL 5.1";
    /// Everything goes that the newest entry does not name.
    CollectByListing = "collect-by-listing", "PROTOCOL 5.1";
    /// What an entry would drop is deleted before that entry exists.
    CollectBeforeDropping = "collect-before-dropping", "PROTOCOL 5.1";
    /// A fork copies objects that it has not pinned.
    CopyWithoutPin = "copy-without-pin", "with forks";
    /// The collector looks for pins before it appends the entry that drops.
    PinsBeforeDropping = "pins-before-dropping", "with forks";
    /// A sweep takes what newer owners have uploaded for an orphan.
    OrphansOfNewer = "orphans-of-newer", "PROTOCOL 5.2";
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mutant {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|mutant| mutant.name() == text);
        found.ok_or_else(|| format!("no mutant is called `{text}`"))
    }
}
