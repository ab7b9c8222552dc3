//! Whether a claim would be seen to be broken: a check that can never fail says nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::choices::Choices;

/// How many inputs are tried.
const TRIES: u64 = 20_000;

/// Whether a check fails for any of many inputs.
pub(crate) fn is_noticed(check: impl Fn(&mut Choices<'_>)) -> bool {
    let mut input = [0; 300];
    let mut fails = |seed| {
        StdRng::seed_from_u64(seed).fill_bytes(&mut input);
        catch_unwind(AssertUnwindSafe(|| check(&mut Choices::new(&input)))).is_err()
    };
    (0..TRIES).any(&mut fails)
}
