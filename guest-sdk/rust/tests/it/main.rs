//! What operators may rely on, each claim with a small operator that relies on it.

mod aggregates;
mod batch_form;
mod description;
mod expiry;
mod failures;
mod migration;
mod output;
mod shown;
mod state;
mod timers;
mod unkeyed;
