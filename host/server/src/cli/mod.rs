//! The command line.
//!
//! Receives arguments; guarantees that results go to standard output, progress and errors to standard error, that an
//! error says what is wrong, where, and the mend, and that the exit code tells outcomes apart (`exit`). Does not own
//! what the server does: all commands but `serve` and `run --local` are requests to one.

mod args;
mod checkpoint_name;
mod client;
mod commands;
mod exit;
mod follow;
mod inspect;
mod local;
mod log;
mod process;
mod rocksdb;
mod savepoint;
mod serve;
mod terminal;
mod upgrade;
mod view;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use exit::{Failure, Outcome};

pub use log::Listener;

/// Runs what the process's arguments ask for; `listeners` hear its events beside the log.
#[must_use]
pub fn main(listeners: Vec<Listener>) -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            terminal::print(&error);
            return if error.use_stderr() { exit::WRONG_USE.into() } else { ExitCode::SUCCESS };
        }
    };
    match perform(args, listeners) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            terminal::note(&failure.to_string());
            failure.code.into()
        }
    }
}

fn perform(args: Args, listeners: Vec<Listener>) -> Result<Outcome, Failure> {
    match args.command {
        Command::Serve(serve) => serve::serve(serve, listeners),
        Command::Run(run) if run.local => local::run(run, listeners),
        Command::Run(run) => process::current_thread()?.block_on(commands::run(&args.server, &run.job, run.from)),
        Command::State(state) => process::current_thread()?.block_on(inspect::state(state, &args.server)),
        Command::Checkpoint(checkpoint) => {
            process::current_thread()?.block_on(inspect::checkpoint(checkpoint, &args.server))
        }
        Command::Request(request) => process::current_thread()?.block_on(commands::perform(request, &args.server)),
    }
}
