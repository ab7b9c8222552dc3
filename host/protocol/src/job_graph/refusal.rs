//! Why a job is refused: what is wrong, where, and the mend.

use crate::description::InputKind;
use crate::fault::Fault;
use crate::id::Uid;
use crate::key_group::ParallelismError;

/// Why a job specification makes no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing would ever flow.
    #[error("the job has no source; add one")]
    NoSource,
    /// Two things would be recorded under the same name.
    #[error("uid `{uid}` is used more than once; give each source, operator and sink its own")]
    DuplicateUid {
        /// The uid.
        uid: Uid,
    },
    /// A parallelism outside its bounds.
    #[error("`{uid}`: {error}; change its parallelism, or the job's max-parallelism")]
    Parallelism {
        /// Whose.
        uid: Uid,
        /// What is wrong.
        error: ParallelismError,
    },
    /// The component is not there.
    #[error("operator `{uid}`: component `{component}` is unknown; upload it first, or name one that is there")]
    UnknownComponent {
        /// The operator.
        uid: Uid,
        /// What was named.
        component: String,
    },
    /// The component has no such operator.
    #[error("operator `{uid}`: component `{component}` has no operator `{operator}`; it has {}", list(.known))]
    UnknownOperator {
        /// The operator.
        uid: Uid,
        /// The component.
        component: String,
        /// What was named.
        operator: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The operator has no such input.
    #[error("operator `{uid}` has no input `{input}`; it has {}", list(.known))]
    UnknownInput {
        /// The operator.
        uid: Uid,
        /// What was named.
        input: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing feeds an input.
    #[error("input `{input}` of operator `{uid}` is not fed; add an entry for it to the operator's inputs")]
    UnfedInput {
        /// The operator.
        uid: Uid,
        /// The input.
        input: String,
    },
    /// Nothing feeds an operator without inputs, or a sink.
    #[error("nothing feeds `{uid}`; name a source or operator that does")]
    Unfed {
        /// The operator or sink.
        uid: Uid,
    },
    /// What should feed it is not there.
    #[error("`{uid}` takes records from `{from}`, which is no source or operator of the job; there are {}", list(.known))]
    UnknownFrom {
        /// Who takes them.
        uid: Uid,
        /// What was named.
        from: Uid,
        /// What there is.
        known: Vec<String>,
    },
    /// What should feed it has no such output.
    #[error("`{uid}` takes records from port `{port}` of `{from}`, which has {}", list(.known))]
    UnknownPort {
        /// Who takes them.
        uid: Uid,
        /// What should feed it.
        from: Uid,
        /// What was named; `main`: the first, whatever its name.
        port: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Records would be spread in a way that the input does not bear.
    #[error("input `{input}` of operator `{uid}` is {}; {}", word(*.kind), mend(*.kind))]
    Partition {
        /// The operator.
        uid: Uid,
        /// The input.
        input: String,
        /// How its operator declares it.
        kind: InputKind,
    },
    /// Every record would be a dead letter.
    #[error(
        "input `{input}` of operator `{uid}` takes the key that records carry, but those of `{from}` carry none; \
         say where it is, as in key = {{ field = \"name\" }} or key = \"value\""
    )]
    NoKey {
        /// The operator.
        uid: Uid,
        /// The input.
        input: String,
        /// The source that feeds it.
        from: Uid,
    },
    /// Subtask *i* would have no subtask *i* to send to.
    #[error(
        "`{uid}` (parallelism {parallelism}) takes records forward from `{from}` (parallelism {from_parallelism}); \
         make them equal, or rebalance"
    )]
    Forward {
        /// Who takes them.
        uid: Uid,
        /// Its parallelism.
        parallelism: u32,
        /// What feeds it.
        from: Uid,
        /// That one's parallelism.
        from_parallelism: u32,
    },
    /// Records would run in a circle.
    #[error("the job has a cycle: {}; take one of these edges away", .uids.iter().map(Uid::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// Along the edges, the first again at the end.
        uids: Vec<Uid>,
    },
    /// A setting that cannot be meant.
    #[error("{place}: {what}")]
    Setting {
        /// Where it stands.
        place: String,
        /// What is wrong, and the mend.
        what: &'static str,
    },
}

impl Refusal {
    /// Who must act: always the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

fn list(known: &[String]) -> String {
    let quoted: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

const fn word(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Keyed => "keyed",
        InputKind::Unkeyed => "unkeyed",
        InputKind::Broadcast => "broadcast",
    }
}

const fn mend(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Keyed => "spread its records by hash, with a key",
        InputKind::Unkeyed => "spread its records forward or rebalanced, without a key",
        InputKind::Broadcast => "broadcast its records",
    }
}
