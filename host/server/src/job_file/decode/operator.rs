//! `[[operator]]`.

use weir_protocol::id::Uid;
use weir_protocol::job_spec::{KeySpec, PartitionSpec};

use crate::job_file::decode::Vertices;
use crate::job_file::draft::{ComponentRef, InputDraft, OperatorDraft};
use crate::job_file::fields::{Fields, Read, TEXT};
use crate::job_file::output_ref;
use crate::job_file::tree::{Error, Node, Place, Value};

const KEYS: [&str; 7] = ["uid", "component", "operator", "parallelism", "inputs", "config", "config-json"];

/// Reads an operator without its inputs: those may name operators that stand further down.
pub(super) fn operator(node: &Node, vertices: &mut Vertices) -> Result<OperatorDraft, Error> {
    let fields = open(node)?;
    let (name_or_hash, place) = fields.required("component", "\"word-count\"", PLACED_TEXT)?;
    Ok(OperatorDraft {
        uid: vertices.uid(&fields, "\"count\"")?,
        component: ComponentRef { name_or_hash, place },
        operator: fields.optional("operator", PLACED_TEXT)?,
        parallelism: vertices.parallelism(&fields)?,
        inputs: Vec::new(),
        config: config(&fields)?,
        place: node.place.clone(),
    })
}

fn open(node: &Node) -> Result<Fields<'_>, Error> {
    Fields::open(node, "an operator", &KEYS)
}

const PLACED_TEXT: Read<(String, Place)> = |node, what| Ok((TEXT(node, what)?, node.place.clone()));

fn config(fields: &Fields<'_>) -> Result<serde_json::Value, Error> {
    let text = fields.optional("config-json", |node, what| {
        let text = TEXT(node, what)?;
        serde_json::from_str(&text).map_err(|error| node.error(format!("{what} must be JSON: {error}")))
    })?;
    let config = fields.optional("config", |node, _| to_json(node))?;
    match (config, text) {
        (Some(_), Some(_)) => {
            let node = fields.get("config-json").expect("it was read just now");
            Err(node.error("`config` and `config-json` are given; leave one out"))
        }
        (config, text) => Ok(config.or(text).unwrap_or_else(|| serde_json::json!({}))),
    }
}

fn to_json(node: &Node) -> Result<serde_json::Value, Error> {
    let number = |number: Option<serde_json::Number>| {
        number
            .map(serde_json::Value::Number)
            .ok_or_else(|| node.error(format!("{} is no number that JSON can hold", node.shown())))
    };
    match &node.value {
        Value::Null => Ok(serde_json::Value::Null),
        Value::Boolean(flag) => Ok((*flag).into()),
        Value::Integer(integer) => number(serde_json::Number::from_i128(*integer)),
        Value::Float(float) => number(serde_json::Number::from_f64(*float)),
        Value::Text(text) => Ok(text.as_str().into()),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Table(entries) => {
            let pairs = entries.iter().map(|entry| Ok((entry.key.clone(), to_json(&entry.node)?)));
            Ok(serde_json::Value::Object(pairs.collect::<Result<_, Error>>()?))
        }
    }
}

/// Reads an operator's inputs, which name outputs of `uids`.
pub(super) fn inputs(node: &Node, uids: &[Uid]) -> Result<Vec<InputDraft>, Error> {
    let fields = open(node)?;
    fields.required("inputs", "[{ from = \"text\" }]", |_, _| Ok(()))?;
    let inputs = fields.each("inputs", |input| self::input(input, uids))?;
    if inputs.is_empty() {
        let node = fields.get("inputs").expect("it is there, as was checked");
        return Err(node.error("`inputs` must hold at least one, for example { from = \"text\" }"));
    }
    Ok(inputs)
}

fn input(node: &Node, uids: &[Uid]) -> Result<InputDraft, Error> {
    let fields = Fields::open(node, "an input", &["input", "from", "key", "partition"])?;
    fields.required("from", "\"text\"", |_, _| Ok(()))?;
    let from = output_ref::read(fields.get("from").expect("it is there, as was checked"), uids)?;
    let key = fields.optional("key", KEY)?;
    let partitions = [
        ("forward", PartitionWord::Forward),
        ("rebalance", PartitionWord::Rebalance),
        ("broadcast", PartitionWord::Broadcast),
    ];
    let partition = match (key, fields.optional_word("partition", &partitions)?) {
        (Some(_), Some(_)) => {
            return Err(node.error("an input has `key` or `partition`, not both: by key means to the key's subtask"));
        }
        (Some(key), None) => Some(PartitionSpec::Hash(key)),
        (None, Some(PartitionWord::Forward)) => Some(PartitionSpec::Forward),
        (None, Some(PartitionWord::Rebalance)) => Some(PartitionSpec::Rebalance),
        (None, Some(PartitionWord::Broadcast)) => Some(PartitionSpec::Broadcast),
        (None, None) => None,
    };
    Ok(InputDraft { input: fields.optional("input", PLACED_TEXT)?, from, partition, place: node.place.clone() })
}

#[derive(Clone, Copy)]
enum PartitionWord {
    Forward,
    Rebalance,
    Broadcast,
}

/// `"value"`, `"carried"`, `{ field = "user.id" }`, `{ field = ["user", "id"] }` or `{ constant = "x" }`.
const KEY: Read<KeySpec> = |node, what| {
    if let Value::Text(_) = node.value {
        return key_word(node, what);
    }
    if !matches!(node.value, Value::Table(_)) {
        return Err(wrong_key(node, what));
    }
    let fields = Fields::open(node, what, &["field", "constant"])?;
    match (fields.optional("field", FIELD_PATH)?, fields.optional("constant", TEXT)?) {
        (Some(path), None) => Ok(KeySpec::Field(path)),
        (None, Some(constant)) => Ok(KeySpec::Constant(constant)),
        (Some(_), Some(_)) | (None, None) => {
            Err(node.error(format!("{what} must hold `field` or `constant`, one of them")))
        }
    }
};

fn key_word(node: &Node, what: &str) -> Result<KeySpec, Error> {
    match TEXT(node, what)?.as_str() {
        "value" => Ok(KeySpec::Value),
        "carried" => Ok(KeySpec::Carried),
        _ => Err(wrong_key(node, what)),
    }
}

fn wrong_key(node: &Node, what: &str) -> Error {
    let given = node.shown();
    node.error(format!(
        "{what} must be \"value\", \"carried\", {{ field = \"user.id\" }} or {{ constant = \"x\" }}, not {given}"
    ))
}

/// A text is split at its dots; a list gives keys that hold dots themselves.
const FIELD_PATH: Read<Vec<String>> = |node, what| {
    let path: Vec<String> = match &node.value {
        Value::List(items) => {
            items.iter().map(|item| TEXT(item, &format!("each of {what}"))).collect::<Result<_, _>>()?
        }
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::Table(_) => {
            TEXT(node, what)?.split('.').map(str::to_owned).collect()
        }
    };
    if path.is_empty() || path.iter().any(String::is_empty) {
        return Err(node.error(format!("{what} must be object keys with dots between them, none empty")));
    }
    Ok(path)
};
