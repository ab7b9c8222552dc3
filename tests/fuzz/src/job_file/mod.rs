//! Job files: any text, and texts that nearly describe a job.
//!
//! Claims: reading never panics; what is wrong is said with a line of the file (a path, in JSON); a job that is accepted
//! can be written down as TOML and as JSON, and read again as the same.

mod made;

use std::collections::BTreeMap;

use weir::job_file::{Component, Components, Error, Place, from_json, from_toml, to_json, to_toml};
use weir_protocol::description::{Columns, InputDescription, InputKind, OperatorDescription};
use weir_protocol::job_graph::JobGraph;
use weir_protocol::job_spec::JobSpec;

use crate::choices::Choices;

/// Checks the claims for one input.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(4) {
        0 => toml(&String::from_utf8_lossy(choices.rest())),
        1 => json(&String::from_utf8_lossy(choices.rest())),
        2 => {
            let job = made::job(&mut choices);
            if let Ok(text) = toml::to_string(&job) {
                toml(&text);
            }
        }
        _ => json(&made::job(&mut choices).to_string()),
    }
}

fn toml(text: &str) {
    match from_toml(text).and_then(|draft| draft.resolve(&components())) {
        Ok(spec) => accepted(&spec),
        Err(Error { place: Place::Line(line), message }) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {message}");
            assert!(!message.is_empty(), "it says what is wrong");
        }
        Err(error) => unreachable!("a text has lines: {error}"),
    }
}

fn json(text: &str) {
    match from_json(text).and_then(|draft| draft.resolve(&components())) {
        Ok(spec) => accepted(&spec),
        Err(Error { place: Place::Line(line), message }) => {
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!(line <= lines, "line {line} of {lines}: {message}");
        }
        Err(Error { place: Place::Path(_), message }) => assert!(!message.is_empty(), "it says what is wrong"),
    }
}

/// What was accepted can be written and read again, and made a graph of or refused.
fn accepted(spec: &JobSpec) {
    let components = components();
    let text = to_toml(spec);
    let again = from_toml(&text).and_then(|draft| draft.resolve(&components));
    assert_eq!(again.as_ref(), Ok(spec), "written down as TOML:\n{text}");
    let text = to_json(spec).to_string();
    let again = from_json(&text).and_then(|draft| draft.resolve(&components));
    assert_eq!(again.as_ref(), Ok(spec), "written down as JSON: {text}");
    let known: BTreeMap<&str, &Component> = components.values().map(|known| (known.hash.as_str(), known)).collect();
    let described = |hash: &str| known.get(hash).map(|component| component.operators.clone());
    match JobGraph::new(spec.clone(), &described) {
        Ok(graph) => assert!(graph.edges().iter().all(|edge| edge.from < edge.to), "what feeds one comes before it"),
        Err(refusal) => assert!(!refusal.to_string().is_empty(), "it says what cannot be meant"),
    }
}

/// `words` with three operators and `single` with one, each by name and by hash.
fn components() -> Components {
    let split = operator("split", &[("lines", InputKind::Unkeyed)]);
    let count = operator("count", &[("words", InputKind::Keyed)]);
    let join = operator("join", &[("left", InputKind::Keyed), ("rules", InputKind::Broadcast)]);
    let words = Component { hash: "0f".repeat(32), operators: vec![split, count.clone(), join] };
    let single = Component { hash: "ab".repeat(32), operators: vec![count] };
    let named = [("words", words), ("single", single)].map(|(name, component)| (name.to_owned(), component));
    let hashed = named.clone().map(|(_, component)| (component.hash.clone(), component));
    named.into_iter().chain(hashed).collect()
}

fn operator(name: &str, inputs: &[(&str, InputKind)]) -> OperatorDescription {
    let columns = Columns { keys: true, values: true, timestamps: true };
    let input = |(name, kind): &(&str, InputKind)| InputDescription { name: (*name).to_owned(), kind: *kind, columns };
    OperatorDescription {
        name: name.to_owned(),
        doc: String::new(),
        inputs: inputs.iter().map(input).collect(),
        outputs: vec!["main".to_owned(), "late".to_owned()],
        states: Vec::new(),
        config_schema: String::new(),
        properties: Vec::new(),
    }
}
