//! The checks, one family a file.

mod attempts;
mod limits;
mod migration;
mod output;
mod state;
mod timers;
mod unkeyed_state;

use std::sync::Arc;

use weir_protocol::job_spec::LimitSpec;

use super::Trial;
use crate::operator::{CallError, Factory};

type Made = Arc<dyn Factory>;

/// Runs every check on a factory of the odd operator.
///
/// # Panics
/// With the first claim that does not hold.
pub async fn check_all(factory: &Arc<dyn Factory>) {
    assert_eq!(*factory.description(), super::odd::description(), "it describes itself as the odd operator");
    state::check(factory).await;
    unkeyed_state::check(factory).await;
    output::check(factory).await;
    timers::check(factory).await;
    limits::check(factory).await;
    attempts::check(factory).await;
    migration::check(factory);
}

async fn opened(factory: &Made) -> Trial {
    Trial::open(factory, "", LimitSpec::default()).await.expect("the odd operator opens")
}

/// The message of a call that breaks a rule, on an instance of its own.
async fn trapped(factory: &Made, rows: &[(&str, &str)]) -> String {
    match opened(factory).await.keyed(rows).await {
        Err(CallError::Trap(message)) => message,
        other => panic_with(&format!("{rows:?} breaks a rule, so it traps"), &other),
    }
}

fn panic_with(claim: &str, found: &dyn std::fmt::Debug) -> ! {
    unreachable!("{claim}; instead: {found:?}")
}

/// A call that must return ok.
macro_rules! ok {
    ($call:expr) => {
        $call.await.expect("the call returns ok")
    };
}
use ok;

/// Asserts that a text mentions something.
fn mentions(text: &str, part: &str) {
    assert!(text.contains(part), "the message says `{part}`: {text}");
}
