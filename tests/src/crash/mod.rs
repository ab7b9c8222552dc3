//! The real process, killed for real.

pub mod kill_at;
