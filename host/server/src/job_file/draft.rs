//! A job as it was written, before its components are known.

use weir_protocol::id::{Name, Uid};
use weir_protocol::job_spec::{JobSpec, OutputRef, PartitionSpec};

use crate::job_file::tree::Place;

/// A job whose operators name components that were not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The job without its operators.
    pub(super) spec: JobSpec,
    /// Its operators, in the order of the file.
    pub operators: Vec<OperatorDraft>,
    /// What whoever submits the job should know, though it is accepted.
    pub(super) warnings: Vec<String>,
}

impl Draft {
    /// The job's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.spec.name
    }

    /// What whoever submits the job should know, though it is accepted.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// An operator as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorDraft {
    /// What its state is recorded under.
    pub uid: Uid,
    /// The component, by name or by hash.
    pub component: ComponentRef,
    /// Which of its operators, and where that stands; `None`: the only one.
    pub operator: Option<(String, Place)>,
    /// Default: the job's.
    pub parallelism: Option<u32>,
    /// What feeds it.
    pub inputs: Vec<InputDraft>,
    /// What `open` is given.
    pub config: serde_json::Value,
    /// Where the operator stands.
    pub place: Place,
}

/// A component that an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRef {
    /// A name, or the SHA-256 of the component's bytes.
    pub name_or_hash: String,
    /// Where it stands.
    pub place: Place,
}

/// An edge as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDraft {
    /// Which input it feeds, and where that stands; `None`: the only one.
    pub input: Option<(String, Place)>,
    /// Where records come from.
    pub from: OutputRef,
    /// How they are spread; `None`: as the input's kind has it.
    pub partition: Option<PartitionSpec>,
    /// Where the edge stands.
    pub place: Place,
}
