//! What an operator may ask of its host, with any arguments, in any call.
//!
//! Claims: the host never panics; misuse is the operator's error and does nothing; what is granted answers as plain
//! maps would; what a call did counts whole if it returned ok, else not at all; limits are kept, and only they.

#![expect(clippy::wildcard_enum_match_arm, reason = "each family of commands is obeyed in a place of its own")]

mod command;
mod granted;
mod model;
mod puppet;

use std::sync::Arc;

use futures::FutureExt;
use weir_engine::state::SubtaskState;
use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, PlainState};
use weir_operator::operator::{Factory, OpenContext, Operator};
use weir_operator::turn::{Turn, Work};
use weir_operator::unkeyed_state::UnkeyedState;
use weir_protocol::Fault;
use weir_protocol::job_spec::LimitSpec;
use weir_protocol::key_group::MaxParallelism;

use crate::choices::Choices;

use command::Command;
use model::{Model, Outcome};
use puppet::{Puppet, Tape};

/// Checks the claims for one input.
pub fn check(data: &[u8]) {
    calls(&mut Choices::new(data), backend);
}

/// Calls until the bytes end, over the state that `backend` makes.
fn calls(choices: &mut Choices<'_>, backend: impl FnOnce(&mut Choices<'_>) -> Box<dyn KeyedState>) {
    let emitted_bytes_max = if choices.one_in(6) { 1 + choices.number() % 1_000 } else { 64 << 20 };
    let limits = LimitSpec { emitted_bytes_max, ..LimitSpec::default() };
    let mut state = Some(backend(choices));
    let mut model = Model::default();
    let tape = Tape::default();
    let factory = Puppet::factory(&tape);
    let mut instance = open(&factory, limits.clone());
    while !choices.is_at_end() {
        let work = command::work(choices);
        let commands = command::list(choices, &work);
        let swallow = choices.one_in(3);
        let mut turn = turn(choices, work, &mut state);
        tape.insert(commands.clone(), swallow);
        let returned = instance.call(&mut turn).now_or_never().expect("native code waits for nothing");
        let mut call = model.begin(&turn, limits.emitted_bytes_max);
        let answers = tape.answers();
        let expected = call.play(&commands, &answers, swallow);
        match (&returned, expected) {
            (Ok(()), Outcome::Ok) => {
                let done = call.compare(&turn.effects);
                if let Some(state) = &mut turn.state {
                    state.commit(&turn.effects.writes).expect("what was granted can be committed");
                }
                model.commit(done);
            }
            (Err(error), Outcome::Error) => {
                assert_eq!(error.fault(), Fault::Guest, "misuse is the operator's: {error}");
                instance = open(&factory, limits.clone());
            }
            (returned, expected) => unreachable!("the call returned {returned:?} and not {expected:?}: {commands:?}"),
        }
        state = turn.state.take().or(state);
        compare(state.as_deref_mut().expect("a call gives back what it was given"), &model);
    }
}

/// The engine's log, or plain maps.
fn backend(choices: &mut Choices<'_>) -> Box<dyn KeyedState> {
    if choices.one_in(2) {
        return Box::new(PlainState::new());
    }
    let max = MaxParallelism::DEFAULT;
    let state = SubtaskState::new(&puppet::description().states, max, max.range(0, 1));
    Box::new(state.expect("the states have different names"))
}

fn open(factory: &Arc<dyn Factory>, limits: LimitSpec) -> Box<dyn Operator> {
    let context = OpenContext {
        uid: "puppet".to_owned(),
        job: "fuzz".to_owned(),
        config: "{}".to_owned(),
        subtask: 0,
        parallelism: 1,
        seed: 0,
        processing_time: 0,
        unkeyed: UnkeyedState::default(),
        limits,
    };
    let opened = factory.open(context).now_or_never().expect("native code waits for nothing");
    opened.expect("it opens what it declares")
}

fn turn(choices: &mut Choices<'_>, work: Work, state: &mut Option<Box<dyn KeyedState>>) -> Turn {
    let mut turn = Turn::new(work);
    turn.watermark = choices.signed();
    turn.processing_time = choices.signed();
    if let Some(keys) = turn.work.keys().filter(|_| model::is_keyed(&turn.work)) {
        let mut state = state.take().expect("a call gives back what it was given");
        state.select(keys, turn.processing_time).expect("any keys can be selected");
        turn.state = Some(state);
    }
    turn
}

/// All that the backend holds is what the model holds.
fn compare(state: &mut dyn KeyedState, model: &Model) {
    let keys = command::KEYS;
    state.select(&Keys::encode(keys), 0).expect("any keys can be selected");
    let held = granted::all(state, u32::try_from(keys.len()).expect("there are few"));
    let expected: Vec<_> = keys.iter().map(|key| model.of(key)).collect();
    assert_eq!(held, expected, "what is committed is what calls did that returned ok");
}

/// A command and what came of it.
type Answer = Result<granted::Granted, weir_operator::abilities::Violation>;

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
