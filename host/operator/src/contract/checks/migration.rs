//! Values of older versions, rewritten.

use weir_protocol::job_spec::LimitSpec;

use super::{Made, mentions, panic_with};
use crate::batch::BytesColumn;
use crate::contract::trial::context;
use crate::migrator::Migrator;
use crate::operator::CallError;

pub(super) fn check(factory: &Made) {
    assert!(factory.exports_migration(), "the odd operator migrates");
    every_value_is_rewritten_in_order(factory);
    a_failure_is_told_in_its_own_words_and_does_no_harm(factory);
    what_is_rewritten_is_bounded(factory);
}

fn migrator(factory: &Made, limits: LimitSpec) -> Box<dyn Migrator> {
    factory.migrator(context("", limits)).expect("it exports `migration`")
}

fn column(values: &[&str]) -> BytesColumn {
    values.iter().map(|value| value.as_bytes()).collect()
}

fn every_value_is_rewritten_in_order(factory: &Made) {
    let mut migrator = migrator(factory, LimitSpec::default());
    for (state, from) in [("value", 1), ("list", 0), ("map", u32::MAX), ("split", 1), ("union", 1), ("rules", 1)] {
        let rewritten = migrator.migrate(state, from, &column(&["b", "", "a", "a"])).expect("it rewrites them");
        let expected = ["b", "", "a", "a"].map(|value| format!("{state}/{from}/{value}").into_bytes());
        assert!(rewritten.iter().eq(&expected), "`{state}`: {rewritten:?}");
    }
    let none = migrator.migrate("value", 1, &column(&[])).expect("there is nothing to rewrite");
    assert!(none.is_empty());
}

fn a_failure_is_told_in_its_own_words_and_does_no_harm(factory: &Made) {
    let mut migrator = migrator(factory, LimitSpec::default());
    match migrator.migrate("value", 1, &column(&["a", "fail"])) {
        Err(CallError::Failure { message, .. }) => mentions(&message, "it cannot read this"),
        other => panic_with("`migrate` fails", &other),
    }
    migrator.migrate("value", 1, &column(&["a"])).expect("it goes on");
}

fn what_is_rewritten_is_bounded(factory: &Made) {
    let limits = LimitSpec { emitted_bytes_max: 1_000_000, ..LimitSpec::default() };
    match migrator(factory, limits).migrate("value", 1, &column(&["flood"])) {
        Err(CallError::Limit(message)) => mentions(&message, "more than 1000000 bytes"),
        other => panic_with("it returns more than the limit", &other),
    }
}
