//! Settings that have the right type and still cannot be meant.

use super::Refusal;
use crate::job_spec::{
    CheckpointSpec, GeneratorSpec, InputSpec, JobSpec, KeySpec, PartitionSpec, SourceConnector, SourceSpec,
};

/// Refuses the first such setting.
pub(super) fn check(spec: &JobSpec) -> Result<(), Refusal> {
    spec.checkpoint.as_ref().map_or(Ok(()), check_checkpoint)?;
    spec.sources.iter().try_for_each(check_source)?;
    for operator in &spec.operators {
        let place = || format!("operator `{}`", operator.uid);
        operator.inputs.iter().try_for_each(|input| check_input(&place, input))?;
    }
    Ok(())
}

fn check_checkpoint(spec: &CheckpointSpec) -> Result<(), Refusal> {
    let claims = [
        (spec.interval_ms > 0, "interval must be at least 1 ms; leave the whole section out to turn checkpoints off"),
        (spec.timeout_ms > 0, "timeout must be at least 1 ms"),
        (spec.max_concurrent > 0, "max-concurrent must be at least 1"),
        (spec.retained > 0, "retained must be at least 1"),
    ];
    first_unmet(&|| "checkpoint".to_owned(), &claims)
}

fn check_source(spec: &SourceSpec) -> Result<(), Refusal> {
    let place = || format!("source `{}`", spec.uid);
    match &spec.connector {
        SourceConnector::Generator(generator) => check_generator(&place, generator),
        SourceConnector::Files(files) => {
            first_unmet(&place, &[(!files.paths.is_empty(), "paths is empty; name at least one file or folder")])
        }
    }
}

fn check_generator(place: &dyn Fn() -> String, spec: &GeneratorSpec) -> Result<(), Refusal> {
    let claims = [
        (spec.keys > 0, "keys must be at least 1"),
        (spec.rate != Some(0), "rate must be at least 1; leave it out for as fast as records are taken"),
        (spec.value_bytes >= GeneratorSpec::VALUE_BYTES_MIN, "value-bytes must be at least 64"),
    ];
    first_unmet(place, &claims)
}

fn check_input(place: &dyn Fn() -> String, spec: &InputSpec) -> Result<(), Refusal> {
    let named = !matches!(&spec.partition, PartitionSpec::Hash(KeySpec::Field(path)) if path.is_empty());
    first_unmet(place, &[(named, "a key's field path is empty; name a field, or take the whole value as the key")])
}

fn first_unmet(place: &dyn Fn() -> String, claims: &[(bool, &'static str)]) -> Result<(), Refusal> {
    match claims.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Refusal::Setting { place: place(), what }),
        None => Ok(()),
    }
}
