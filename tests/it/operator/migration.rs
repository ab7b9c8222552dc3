//! What a component's `migrate` may not do.

use weir_operator::batch::BytesColumn;
use weir_operator::contract::context;
use weir_operator::operator::CallError;
use weir_protocol::job_spec::LimitSpec;
use weir_tests::guests;

use super::odd;

fn migrate(value: &str) -> Result<BytesColumn, CallError> {
    let limits = LimitSpec { call_cpu_ms_max: 50, ..LimitSpec::default() };
    let mut migrator = odd().migrator(context("", limits)).expect("the component exports `migration`");
    let rewritten = migrator.migrate("value", 1, &[value.as_bytes()].into_iter().collect());
    let after = migrator.migrate("value", 1, &[b"after".as_slice()].into_iter().collect());
    assert!(after.is_ok_and(|after| after.iter().eq([b"value/1/after"])), "another instance goes on after `{value}`");
    rewritten
}

#[track_caller]
fn says(error: &CallError, part: &str) {
    assert!(error.to_string().contains(part), "the error says `{part}`: {error}");
}

#[test]
fn migrate_gives_back_one_value_for_each_in_a_sound_column() {
    says(&migrate("short").expect_err("it gives back none"), "was given 1 values and returned 0");
    says(&migrate("bad-offsets").expect_err("the column is malformed"), "offsets must start with 0");
}

#[test]
fn migrate_may_write_log_lines_and_use_nothing_else() {
    assert!(migrate("log").is_ok());
    for (command, ability) in
        [("state", "making a state handle"), ("emit", "output.emit"), ("count", "telemetry.counter-add")]
    {
        let error = migrate(command).expect_err("it is not legal here");
        assert!(matches!(error, CallError::Trap(_)), "{error}");
        says(&error, ability);
        says(&error, "it was called in `migrate`");
    }
}

#[test]
fn migrate_that_traps_or_never_ends_is_ended() {
    let trap = migrate("trap").expect_err("it traps");
    assert!(matches!(trap, CallError::Trap(_)), "{trap}");
    says(&trap, "trapped in `migrate`");
    let spin = migrate("spin").expect_err("it never ends");
    assert!(matches!(spin, CallError::Limit(_)), "{spin}");
    says(&spin, "ms of CPU time");
}

#[test]
fn a_component_without_migration_says_so() {
    let component = guests::load(guests::WORD_COUNT_RAW).expect("it is admitted");
    let operator = component.operators().next().expect("it has an operator").name.clone();
    let factory = component.factory(&operator).expect("it has this operator");
    assert!(!factory.exports_migration() && factory.migrator(context("", LimitSpec::default())).is_none());
}
