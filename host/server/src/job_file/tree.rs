//! A document as a tree in which everything knows its place, whatever it was written in.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use toml::de::{DeArray, DeTable, DeValue};

/// Where something stands in what was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line, from 1, of a text.
    Line(usize),
    /// A path of keys and indices; empty: the document itself.
    Path(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Path(path) if path.is_empty() => f.write_str("the job"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// What is wrong with a job file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What is wrong, and the mend.
    pub message: String,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What both TOML and JSON can say.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document; no key twice.
    Table(Vec<Entry>),
}

/// A key and what stands behind it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The key's own place.
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    /// An error at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error { place: self.place.clone(), message: message.into() }
    }

    /// What the value is, in a message: `the text "two"`, `a list`.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(text) if text.chars().count() <= 64 => format!("the text {text:?}"),
            Value::Text(text) => format!("the text {:?}...", text.chars().take(64).collect::<String>()),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads TOML; places are lines.
pub(super) fn toml(text: &str) -> Result<Node, Error> {
    let lines = Lines::of(text);
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let mend = toml_mend(error.message(), lines.text(text, at));
        Error { place: lines.place(at), message: format!("this is no TOML: {}{mend}", error.message()) }
    })?;
    let value = lines.table(document.get_ref())?;
    Ok(Node { place: Place::Line(1), value })
}

/// What TOML itself does not say of a key that begins like another one, which Flink's files have.
fn toml_mend(message: &str, line: &str) -> &'static str {
    let begins_alike = message.contains("with a dotted key") || line.contains("state.backend");
    let mend = "; where one key is the begin of another, quote both: \"state.backend\" = \"rocksdb\" and \
                \"state.backend.incremental\" = true";
    if begins_alike { mend } else { "" }
}

/// Where each line of a text starts.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let feeds = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(feeds).collect() }
    }

    /// The line of `text` that holds an offset.
    fn text<'a>(&self, text: &'a str, offset: usize) -> &'a str {
        let line = self.starts.partition_point(|start| *start <= offset);
        text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
    }

    fn place(&self, offset: usize) -> Place {
        Place::Line(self.starts.partition_point(|start| *start <= offset))
    }

    fn node(&self, offset: usize, value: &DeValue<'_>) -> Result<Node, Error> {
        let place = self.place(offset);
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(at) => Value::Text(at.to_string()),
            DeValue::Integer(digits) => match i128::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(integer) => Value::Integer(integer),
                Err(_) => return Err(Error { place, message: format!("the integer {digits} is too large") }),
            },
            DeValue::Float(digits) => match digits.as_str().parse() {
                Ok(float) => Value::Float(float),
                Err(_) => return Err(Error { place, message: format!("the number {digits} cannot be read") }),
            },
            DeValue::Array(items) => self.list(items)?,
            DeValue::Table(table) => self.table(table)?,
        };
        Ok(Node { place, value })
    }

    fn list(&self, items: &DeArray<'_>) -> Result<Value, Error> {
        let nodes = items.iter().map(|item| self.node(item.span().start, item.get_ref()));
        Ok(Value::List(nodes.collect::<Result<_, _>>()?))
    }

    fn table(&self, table: &DeTable<'_>) -> Result<Value, Error> {
        let mut entries = Vec::with_capacity(table.len());
        for (key, item) in table {
            let node = self.node(item.span().start, item.get_ref())?;
            entries.push((key.span().start, Entry { key: key.to_string(), place: self.place(key.span().start), node }));
        }
        entries.sort_by_key(|(start, _)| *start);
        Ok(Value::Table(entries.into_iter().map(|(_, entry)| entry).collect()))
    }
}

/// Reads JSON; places are paths.
pub(super) fn json(text: &str) -> Result<Node, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Path(String::new()).deserialize(&mut deserializer);
    node.and_then(|node| deserializer.end().map(|()| node)).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let message = format!("this is no JSON that can be read: {message} (column {})", error.column());
        Error { place: Place::Line(error.line()), message }
    })
}

/// Reads the value at a path.
struct Path(String);

impl Path {
    fn node(self, value: Value) -> Node {
        Node { place: Place::Path(self.0), value }
    }
}

impl<'de> DeserializeSeed<'de> for Path {
    type Value = Node;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Path {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Value::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Value::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Value::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(self.node(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(Path(format!("{}[{}]", self.0, nodes.len())))? {
            nodes.push(node);
        }
        Ok(self.node(Value::List(nodes)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.iter().any(|entry| entry.key == key) {
                return Err(serde::de::Error::custom(format!("the key {key:?} is given twice")));
            }
            let path = if self.0.is_empty() { key.clone() } else { format!("{}.{key}", self.0) };
            let node = map.next_value_seed(Path(path))?;
            entries.push(Entry { key, place: node.place.clone(), node });
        }
        Ok(self.node(Value::Table(entries)))
    }
}
