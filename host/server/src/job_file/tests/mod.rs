//! What a job file may say, what it may not, and that writing a job down loses nothing.

mod bad;
mod good;
mod identity;
mod state;

use weir_protocol::description::{Columns, InputDescription, InputKind, OperatorDescription};

use crate::job_file::{Component, Components};

/// The hash that the component `words` has in these tests.
const HASH: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// `words`, with the operators `split` (one unkeyed input), `count` (one keyed) and `join` (keyed `left`, broadcast
/// `rules`, unkeyed `rest`), and `single`, with `split` alone; each by name and by hash.
fn components() -> Components {
    let split = operator("split", &[("lines", InputKind::Unkeyed)]);
    let count = operator("count", &[("words", InputKind::Keyed)]);
    let join =
        operator("join", &[("left", InputKind::Keyed), ("rules", InputKind::Broadcast), ("rest", InputKind::Unkeyed)]);
    let words = Component { hash: HASH.to_owned(), operators: vec![split.clone(), count, join] };
    let single = Component { hash: "ab".repeat(32), operators: vec![split] };
    [("words", &words), (HASH, &words), ("single", &single)]
        .map(|(name, component)| (name.to_owned(), component.clone()))
        .into()
}

fn operator(name: &str, inputs: &[(&str, InputKind)]) -> OperatorDescription {
    let input = |(name, kind): &(&str, InputKind)| InputDescription {
        name: (*name).to_owned(),
        kind: *kind,
        columns: Columns { keys: true, values: true, timestamps: true },
    };
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
