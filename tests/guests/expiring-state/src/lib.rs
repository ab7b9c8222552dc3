//! Operators whose state expires.
//!
//! `known` tells whether it knows a key already, and forgets it two seconds after it came first. `lives` holds a value,
//! a list and a map of each of the four ways to live: it writes them all, or tells what it sees of them. `visits` keeps
//! what records brought for a minute.

mod known;
mod lives;
mod visits;

use known::Known;
use lives::Lives;
use visits::Visits;

weir_sdk::export!(Known, Lives, Visits);
