//! A job whose one operator keeps state of every kind: keyed records beside rules that all instances hear.

pub(crate) const RECORDS: u64 = 30_000;
pub(crate) const RULES: u64 = 400;
pub(crate) const PARALLELISM: usize = 2;

/// What such jobs differ in, beside the version of the operator.
pub(crate) struct StatesJob {
    pub(crate) keys: u64,
    /// Records a second.
    pub(crate) rate: u64,
    /// Rules a second.
    pub(crate) rules_rate: u64,
}

impl StatesJob {
    /// The job file, with that operator of the component `states`.
    pub(crate) fn text(&self, operator: &str) -> String {
        let Self { keys, rate, rules_rate } = self;
        format!(
            r#"
        name = "tally"
        parallelism = {PARALLELISM}

        [checkpoint]
        interval = "50ms"

        [[source]]
        uid = "numbers"
        type = "generator"
        count = {RECORDS}
        keys = {keys}
        rate = {rate}

        [[source]]
        uid = "rules"
        type = "generator"
        count = {RULES}
        rate = {rules_rate}

        [[operator]]
        uid = "tally"
        component = "states"
        operator = "{operator}"
        inputs = [{{ input = "records", from = "numbers", key = "carried" }}, {{ input = "rules", from = "rules" }}]

        [[sink]]
        uid = "results"
        type = "files"
        path = "output"
        from = "tally"
        "#
        )
    }
}
