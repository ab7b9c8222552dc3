//! From a draft and the components it names to a spec.

use std::collections::BTreeMap;

use weir_protocol::description::{InputDescription, InputKind, OperatorDescription};
use weir_protocol::id::Uid;
use weir_protocol::job_spec::{InputSpec, JobSpec, KeySpec, OperatorSpec, PartitionSpec};

use crate::job_file::draft::{Draft, InputDraft, OperatorDraft};
use crate::job_file::nearest;
use crate::job_file::tree::{Error, Place};

/// A component that a job names, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The SHA-256 of its bytes.
    pub hash: String,
    /// What its operators say of themselves.
    pub operators: Vec<OperatorDescription>,
}

/// The components that are known, by each text that a job may name them with.
pub type Components = BTreeMap<String, Component>;

impl Draft {
    /// What names components in this job, each once.
    #[must_use]
    pub fn components(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.operators.iter().map(|operator| operator.component.name_or_hash.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Puts in what the file may leave out, for which components must be known: which operator, which input, and how
    /// records are spread.
    ///
    /// # Errors
    /// A component, an operator or an input that there is not, or one that was left out where there are several.
    pub fn resolve(&self, components: &Components) -> Result<JobSpec, Error> {
        let parallelisms = self.parallelisms();
        let operators = self.operators.iter().map(|draft| operator(draft, components, &parallelisms));
        Ok(JobSpec { operators: operators.collect::<Result<_, _>>()?, ..self.spec.clone() })
    }

    fn parallelisms(&self) -> BTreeMap<Uid, u32> {
        let sources = self.spec.sources.iter().map(|source| (&source.uid, source.parallelism));
        let operators = self.operators.iter().map(|operator| (&operator.uid, operator.parallelism));
        let own = sources.chain(operators);
        own.map(|(uid, parallelism)| (uid.clone(), parallelism.unwrap_or(self.spec.parallelism))).collect()
    }
}

fn error(place: &Place, message: String) -> Error {
    Error { place: place.clone(), message }
}

fn operator(
    draft: &OperatorDraft,
    components: &Components,
    parallelisms: &BTreeMap<Uid, u32>,
) -> Result<OperatorSpec, Error> {
    let named = &draft.component;
    let component = components.get(&named.name_or_hash).ok_or_else(|| {
        let name = &named.name_or_hash;
        let mend = format!(
            "upload it first (`weir upload FILE --name {name}`), or give it to `weir run --local` with `--component \
             {name}=FILE`"
        );
        error(&named.place, format!("no component is called `{name}`, by name or by hash; {mend}"))
    })?;
    let description = description(draft, &component.operators)?;
    let inputs = draft.inputs.iter().map(|input| self::input(draft, input, description, parallelisms));
    Ok(OperatorSpec {
        uid: draft.uid.clone(),
        component: component.hash.clone(),
        operator: description.name.clone(),
        parallelism: draft.parallelism,
        inputs: inputs.collect::<Result<_, _>>()?,
        config: draft.config.clone(),
    })
}

fn description<'a>(
    draft: &OperatorDraft,
    operators: &'a [OperatorDescription],
) -> Result<&'a OperatorDescription, Error> {
    let component = &draft.component.name_or_hash;
    let names = || operators.iter().map(|operator| operator.name.as_str());
    match (&draft.operator, operators) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let names = quoted(names());
            let message = format!("component `{component}` holds several operators; say which: operator = {names}");
            Err(error(&draft.place, message))
        }
        (Some((name, place)), _) => operators.iter().find(|operator| operator.name == *name).ok_or_else(|| {
            let mend = nearest::mend(name, names().collect::<Vec<_>>());
            error(place, format!("component `{component}` has no operator `{name}`; {mend}"))
        }),
    }
}

fn input(
    operator: &OperatorDraft,
    draft: &InputDraft,
    description: &OperatorDescription,
    parallelisms: &BTreeMap<Uid, u32>,
) -> Result<InputSpec, Error> {
    let declared = declared_input(operator, draft, description)?;
    let default = || match declared.kind {
        InputKind::Keyed => PartitionSpec::Hash(KeySpec::Carried),
        InputKind::Broadcast => PartitionSpec::Broadcast,
        InputKind::Unkeyed if parallelisms.get(&draft.from.uid) == parallelisms.get(&operator.uid) => {
            PartitionSpec::Forward
        }
        InputKind::Unkeyed => PartitionSpec::Rebalance,
    };
    Ok(InputSpec {
        input: declared.name.clone(),
        from: draft.from.clone(),
        partition: draft.partition.clone().unwrap_or_else(default),
    })
}

fn declared_input<'a>(
    operator: &OperatorDraft,
    draft: &InputDraft,
    description: &'a OperatorDescription,
) -> Result<&'a InputDescription, Error> {
    let names = || description.inputs.iter().map(|input| input.name.as_str());
    let uid = &operator.uid;
    match (&draft.input, description.inputs.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let message = format!("operator `{uid}` has several inputs; say which: input = {}", quoted(names()));
            Err(error(&draft.place, message))
        }
        (Some((name, place)), inputs) => inputs.iter().find(|input| input.name == *name).ok_or_else(|| {
            let mend = nearest::mend(name, names().collect::<Vec<_>>());
            error(place, format!("operator `{uid}` has no input `{name}`; {mend}"))
        }),
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
}
