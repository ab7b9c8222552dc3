//! Reading a table whose keys are known beforehand.
//!
//! Guarantees that a key which is not known is refused before anything else in its table, with the nearest one that
//! is: a misspelt mandatory key is then reported as misspelt, not as missing.

use crate::job_file::nearest;
use crate::job_file::tree::{Entry, Error, Node, Value};

/// Reads one value; given how messages call it: the key in backticks.
pub(super) type Read<T> = fn(&Node, &str) -> Result<T, Error>;

/// A table.
pub(super) struct Fields<'a> {
    /// How messages call the table: `a source`.
    what: String,
    node: &'a Node,
    entries: &'a [Entry],
    keys: Vec<&'static str>,
}

/// One of several kinds of a table, told apart by its `type`: the word, what it means, and the keys there are then.
pub(super) type Kind<T> = (&'static str, T, &'static [&'static str]);

impl<'a> Fields<'a> {
    /// Checks that a node is a table with no other keys than `keys`.
    pub(super) fn open(node: &'a Node, what: impl Into<String>, keys: &[&'static str]) -> Result<Self, Error> {
        let what = what.into();
        let entries = entries(node, &what)?;
        match entries.iter().find(|entry| !keys.contains(&entry.key.as_str())) {
            Some(Entry { key, place, .. }) => {
                let mend = nearest::mend(key, keys.iter().copied());
                Err(Error { place: place.clone(), message: format!("{what} has no key `{key}`; {mend}") })
            }
            None => Ok(Self { what, node, entries, keys: keys.to_vec() }),
        }
    }

    /// The same for a table of one of several kinds; `common` are the keys of all, `type` among them.
    pub(super) fn of_kind<T: Copy>(
        node: &'a Node,
        what: &str,
        common: &[&'static str],
        kinds: &[Kind<T>],
    ) -> Result<(Self, T), Error> {
        let given = entries(node, what)?.iter().find(|entry| entry.key == "type").map(|entry| &entry.node.value);
        let kind = kinds.iter().find(|(name, ..)| matches!(given, Some(Value::Text(text)) if text == name));
        if let Some((name, kind, own)) = kind {
            return Ok((Self::open(node, format!("{what} of type \"{name}\""), &[common, own].concat())?, *kind));
        }
        let all: Vec<_> = common.iter().chain(kinds.iter().flat_map(|(_, _, own)| own.iter())).copied().collect();
        let fields = Self::open(node, what, &all)?;
        let words: Vec<_> = kinds.iter().map(|(name, kind, _)| (*name, *kind)).collect();
        let kind = fields.required_word("type", &words)?;
        Ok((fields, kind))
    }

    /// What stands behind a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.keys.contains(&key), "every key that is read is known");
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// A value that may be left out.
    pub(super) fn optional<T>(&self, key: &str, read: Read<T>) -> Result<Option<T>, Error> {
        self.get(key).map(|node| read(node, &format!("`{key}`"))).transpose()
    }

    /// A value that must be there; `example` is how it could look.
    pub(super) fn required<T>(&self, key: &str, example: &str, read: Read<T>) -> Result<T, Error> {
        self.optional(key, read)?.ok_or_else(|| self.missing(key, example))
    }

    /// One of several words, as what stands beside it; `None`: left out.
    pub(super) fn optional_word<T: Copy>(&self, key: &str, words: &[(&'static str, T)]) -> Result<Option<T>, Error> {
        self.get(key).map(|node| word(node, &format!("`{key}`"), words)).transpose()
    }

    /// The same where it must not be left out.
    pub(super) fn required_word<T: Copy>(&self, key: &str, words: &[(&'static str, T)]) -> Result<T, Error> {
        let example = words.first().map_or("", |(word, _)| word);
        self.optional_word(key, words)?.ok_or_else(|| self.missing(key, &format!("{example:?}")))
    }

    /// What is said of a key that is not there; `example` is how its value could look.
    fn missing(&self, key: &str, example: &str) -> Error {
        self.node.error(format!("{} needs `{key}`; for example {key} = {example}", self.what))
    }

    /// A list of tables, each read by `read`; missing: empty.
    pub(super) fn each<T>(&self, key: &str, read: impl FnMut(&'a Node) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(node) => items(node, &format!("`{key}`"))?.iter().map(read).collect(),
        }
    }
}

fn entries<'a>(node: &'a Node, what: &str) -> Result<&'a [Entry], Error> {
    let Value::Table(entries) = &node.value else { return Err(wrong(node, what, "a table")) };
    Ok(entries)
}

fn wrong(node: &Node, what: &str, expected: &str) -> Error {
    node.error(format!("{what} must be {expected}, not {}", node.shown()))
}

/// The items of a list.
pub(super) fn items<'a>(node: &'a Node, what: &str) -> Result<&'a [Node], Error> {
    let Value::List(items) = &node.value else { return Err(wrong(node, what, "a list")) };
    Ok(items)
}

/// A text.
pub(super) const TEXT: Read<String> = |node, what| {
    let Value::Text(text) = &node.value else { return Err(wrong(node, what, "a text")) };
    Ok(text.clone())
};

/// A text, or several.
pub(super) const TEXTS: Read<Vec<String>> = |node, what| {
    if let Value::Text(text) = &node.value {
        return Ok(vec![text.clone()]);
    }
    let Value::List(items) = &node.value else { return Err(wrong(node, what, "a text or a list of texts")) };
    items.iter().map(|item| TEXT(item, &format!("each of {what}"))).collect()
};

/// `true` or `false`.
pub(super) const FLAG: Read<bool> = |node, what| {
    let Value::Boolean(flag) = node.value else { return Err(wrong(node, what, "true or false")) };
    Ok(flag)
};

/// A whole number of at least 0.
pub(super) const COUNT: Read<u64> =
    |node, what| integer(node).ok_or_else(|| wrong(node, what, "a whole number of at least 0"));

/// A whole number of at least 1.
pub(super) const AT_LEAST_1: Read<u64> = |node, what| {
    integer(node).filter(|count| *count > 0).ok_or_else(|| wrong(node, what, "a whole number of at least 1"))
};

/// A whole number from 0 to 2^32 - 1.
pub(super) const SMALL_COUNT: Read<u32> = |node, what| small(node, what, COUNT(node, what)?);

/// A whole number from 1 to 2^32 - 1.
pub(super) const SMALL_AT_LEAST_1: Read<u32> = |node, what| small(node, what, AT_LEAST_1(node, what)?);

fn integer(node: &Node) -> Option<u64> {
    let Value::Integer(integer) = node.value else { return None };
    u64::try_from(integer).ok()
}

fn small(node: &Node, what: &str, count: u64) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| node.error(format!("{what} must be at most {}, not {count}", u32::MAX)))
}

fn word<T: Copy>(node: &Node, what: &str, words: &[(&'static str, T)]) -> Result<T, Error> {
    let given = if let Value::Text(text) = &node.value { text.as_str() } else { "" };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return Ok(*value);
    }
    let all = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
    let mend = match nearest::nearest(given, words.iter().map(|(word, _)| *word)) {
        Some(word) => format!("; did you mean {word:?}?"),
        None => String::new(),
    };
    Err(node.error(format!("{what} must be {all}, not {}{mend}", node.shown())))
}
