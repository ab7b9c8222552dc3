//! What is durable, and what becomes public of it: over stores that fail, owners that race and processes that die.

mod chains;
mod counting_job;
mod crashes;
mod damage;
mod publications;
mod shelf;
mod uploads;
mod verification;
