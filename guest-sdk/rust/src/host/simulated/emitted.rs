//! A record as it left the operator.

/// A record that an operator emitted or forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// The name of the output.
    pub port: &'static str,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` for a deletion.
    pub value: Option<Vec<u8>>,
    /// Its event time, in milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Emitted {
    /// The key as text; empty where there is none.
    #[must_use]
    pub fn key_text(&self) -> String {
        text(self.key.as_deref())
    }

    /// The value as text; empty for a deletion.
    #[must_use]
    pub fn value_text(&self) -> String {
        text(self.value.as_deref())
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
