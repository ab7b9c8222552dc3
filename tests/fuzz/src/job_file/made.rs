//! Jobs as people write them, made from decisions: mostly right, here and there not.

use serde_json::{Map, Value, json};

use crate::choices::Choices;
use crate::entry::any_json;

/// A job as a tree; what TOML cannot say may be in it.
pub(super) fn job(choices: &mut Choices<'_>) -> Value {
    let mut job = Map::new();
    put(&mut job, "name", json!(name(choices)));
    some(choices, &mut job, "parallelism", number);
    some(choices, &mut job, "max-parallelism", number);
    some(choices, &mut job, "checkpoint", |choices| {
        let keys = ["timeout", "min-pause", "max-concurrent", "retained", "tolerable-failures"];
        let mut table = table(choices, &keys, quantity);
        put(&mut table, "interval", quantity(choices));
        Value::Object(table)
    });
    some(choices, &mut job, "restart", |choices| table(choices, &["attempts", "delay", "max-delay"], quantity).into());
    some(choices, &mut job, "errors", |choices| {
        let mut table = table(choices, &["budget"], number);
        put(&mut table, "policy", json!(choices.pick(&["skip", "fail", "dead-letter", "drop"])));
        Value::Object(table)
    });
    some(choices, &mut job, "limits", |choices| {
        table(choices, &["memory", "call-cpu", "row-cpu-us", "emitted"], quantity).into()
    });
    put(&mut job, "source", list(choices, source));
    put(&mut job, "operator", list(choices, operator));
    put(&mut job, "sink", list(choices, sink));
    if choices.one_in(12) {
        put(&mut job, &choices.text(6), any_json(choices, 2));
    }
    Value::Object(job)
}

fn put(table: &mut Map<String, Value>, key: &str, value: Value) {
    table.insert(key.to_owned(), value);
}

fn some(
    choices: &mut Choices<'_>,
    table: &mut Map<String, Value>,
    key: &str,
    make: impl FnOnce(&mut Choices<'_>) -> Value,
) {
    if choices.one_in(2) {
        let value = if choices.one_in(24) { any_json(choices, 1) } else { make(choices) };
        put(table, key, value);
    }
}

fn table(choices: &mut Choices<'_>, keys: &[&str], make: fn(&mut Choices<'_>) -> Value) -> Map<String, Value> {
    let mut table = Map::new();
    keys.iter().for_each(|key| some(choices, &mut table, key, make));
    table
}

fn list(choices: &mut Choices<'_>, make: fn(&mut Choices<'_>) -> Value) -> Value {
    (0..choices.below(3)).map(|_| make(choices)).collect()
}

fn name(choices: &mut Choices<'_>) -> String {
    const NAMES: [&str; 7] = ["a", "a.b", "a.late", "count", "b", "7", "a.b.late"];
    if choices.one_in(16) { choices.text(5) } else { (*choices.pick(&NAMES)).to_owned() }
}

fn number(choices: &mut Choices<'_>) -> Value {
    if choices.one_in(12) { json!(choices.signed()) } else { json!(choices.number()) }
}

/// A number, or one with a unit.
fn quantity(choices: &mut Choices<'_>) -> Value {
    const UNITS: [&str; 12] = ["ms", "s", "min", "h", "d", "B", "kB", "KiB", "MiB", "GiB", " s", "µs"];
    if choices.one_in(2) {
        return number(choices);
    }
    let number = choices.number();
    json!(format!("{number}{}", choices.pick(&UNITS)))
}

fn vertex(choices: &mut Choices<'_>) -> Map<String, Value> {
    let mut vertex = table(choices, &["parallelism"], number);
    put(&mut vertex, "uid", json!(name(choices)));
    vertex
}

fn source(choices: &mut Choices<'_>) -> Value {
    let mut source = vertex(choices);
    if choices.one_in(2) {
        put(&mut source, "type", json!("files"));
        put(&mut source, "paths", texts(choices));
        some(choices, &mut source, "format", |choices| json!(choices.pick(&["lines", "ndjson", "line"])));
        some(choices, &mut source, "follow", |choices| json!(choices.one_in(2)));
        some(choices, &mut source, "start", |choices| json!(choices.pick(&["beginning", "end"])));
    } else {
        put(&mut source, "type", json!("generator"));
        source.append(&mut table(choices, &["rate", "count", "keys", "value-bytes"], number));
        some(choices, &mut source, "distribution", |choices| json!(choices.pick(&["uniform", "round-robin"])));
    }
    Value::Object(source)
}

/// One text, or several.
fn texts(choices: &mut Choices<'_>) -> Value {
    if choices.one_in(2) {
        return json!(choices.text(8));
    }
    (0..choices.below(3) + 1).map(|_| json!(choices.text(8))).collect()
}

fn from(choices: &mut Choices<'_>) -> Value {
    match choices.below(3) {
        0 => json!(name(choices)),
        1 => json!(format!("{}.{}", name(choices), choices.pick(&["late", "main", "x.late"]))),
        _ => {
            let mut from = table(choices, &["port"], |choices| json!(choices.text(4)));
            put(&mut from, "uid", json!(name(choices)));
            Value::Object(from)
        }
    }
}

fn operator(choices: &mut Choices<'_>) -> Value {
    let mut operator = vertex(choices);
    let (component, operators) = *choices.pick(&[("words", ["split", "count", "join"]), ("single", ["count"; 3])]);
    put(&mut operator, "component", json!(component));
    let named = *choices.pick(&operators);
    put(&mut operator, "operator", json!(named));
    put(&mut operator, "inputs", list(choices, input));
    match choices.below(4) {
        0 => {}
        1 => put(&mut operator, "config-json", json!(any_json(choices, 3).to_string())),
        _ => put(&mut operator, "config", any_json(choices, 3)),
    }
    Value::Object(operator)
}

fn input(choices: &mut Choices<'_>) -> Value {
    let mut input = Map::new();
    put(&mut input, "from", from(choices));
    some(choices, &mut input, "input", |choices| json!(choices.pick(&["words", "lines", "left", "rules"])));
    if choices.one_in(3) {
        put(&mut input, "partition", json!(choices.pick(&["forward", "rebalance", "broadcast", "hash"])));
    } else {
        some(choices, &mut input, "key", key);
    }
    Value::Object(input)
}

fn key(choices: &mut Choices<'_>) -> Value {
    match choices.below(5) {
        0 => json!("value"),
        1 => json!("carried"),
        2 => json!({ "constant": choices.text(5) }),
        3 => json!({ "field": choices.text(6) }),
        _ => json!({ "field": (0..choices.below(3) + 1).map(|_| choices.text(4)).collect::<Vec<_>>() }),
    }
}

fn sink(choices: &mut Choices<'_>) -> Value {
    let mut sink = vertex(choices);
    put(&mut sink, "type", json!(choices.pick(&["stdout", "files", "blackhole"])));
    if sink["type"] == "files" {
        put(&mut sink, "path", json!(choices.text(6)));
    }
    let several = (0..choices.below(3)).map(|_| from(choices)).collect();
    put(&mut sink, "from", if choices.one_in(2) { from(choices) } else { several });
    Value::Object(sink)
}
