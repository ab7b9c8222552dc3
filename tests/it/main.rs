//! What needs several parts at once: components, a whole engine, the real binary. One module a subject.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helpers of tests cannot do fails the test")]

mod count_job;
mod durability;
mod examples;
mod expiring_state;
mod looking_inside;
mod migrating;
mod node;
mod operator;
mod savepoints;
mod states_job;
mod stores;
mod unkeyed_state;
mod upgrading;
