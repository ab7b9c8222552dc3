//! A job that counts by key, into a folder: its file.

/// What differs from test to test.
pub(crate) struct CountJob<'a> {
    pub(crate) name: &'a str,
    pub(crate) records: u64,
    pub(crate) keys: usize,
    /// Records a second.
    pub(crate) rate: u64,
    /// Between two checkpoints.
    pub(crate) interval: &'a str,
    /// Of the operator.
    pub(crate) parallelism: u32,
    /// Of the results.
    pub(crate) path: &'a str,
}

impl CountJob<'_> {
    pub(crate) fn file(&self) -> String {
        let Self { name, records, keys, rate, interval, parallelism, path } = self;
        format!(
            r#"
            name = "{name}"
            parallelism = 2

            [checkpoint]
            interval = "{interval}"

            [[source]]
            uid = "numbers"
            type = "generator"
            count = {records}
            keys = {keys}
            rate = {rate}

            [[operator]]
            uid = "count"
            component = "word-count"
            operator = "count"
            parallelism = {parallelism}
            inputs = [{{ from = "numbers", key = "carried" }}]

            [[sink]]
            uid = "out"
            type = "files"
            path = "{path}"
            parallelism = 1
            from = "count"
            "#
        )
    }
}
