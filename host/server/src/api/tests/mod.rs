//! Requests to a whole node over a store in memory, with native operators in place of compiled ones.

mod components;
mod jobs;
mod lives;
mod resources;
mod savepoints;
mod setup;
mod upgrade;
