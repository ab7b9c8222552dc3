//! Minimum, maximum, average and percentiles of a handful of numbers.

use serde::Serialize;

/// Flink's summary of a number over checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Statistics {
    min: u64,
    max: u64,
    avg: u64,
    p50: u64,
    p90: u64,
    p95: u64,
    p99: u64,
    p999: u64,
}

/// All 0 where there are no numbers. A percentile is the smallest of the numbers that is not below that share of them.
pub(super) fn statistics(numbers: impl Iterator<Item = u64>) -> Statistics {
    let mut sorted: Vec<u64> = numbers.collect();
    sorted.sort_unstable();
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return Statistics::default() };
    let sum = sorted.iter().map(|number| u128::from(*number)).sum::<u128>();
    let avg = u64::try_from(sum / sorted.len() as u128).expect("an average is at most the maximum");
    let percentile = |permille: usize| sorted[(sorted.len() * permille).div_ceil(1_000).max(1) - 1];
    Statistics {
        min: *min,
        max: *max,
        avg,
        p50: percentile(500),
        p90: percentile(900),
        p95: percentile(950),
        p99: percentile(990),
        p999: percentile(999),
    }
}

#[cfg(test)]
mod tests {
    use super::{Statistics, statistics};

    #[test]
    fn percentiles_are_numbers_that_were_there() {
        let hundred = statistics((1..=100).rev());
        let expected = Statistics { min: 1, max: 100, avg: 50, p50: 50, p90: 90, p95: 95, p99: 99, p999: 100 };
        assert_eq!(hundred, expected);
        assert_eq!(
            statistics([7].into_iter()),
            Statistics { min: 7, max: 7, avg: 7, p50: 7, p90: 7, p95: 7, p99: 7, p999: 7 }
        );
        assert_eq!(statistics([].into_iter()), Statistics::default());
        assert_eq!(statistics([u64::MAX, u64::MAX].into_iter()).avg, u64::MAX);
    }
}
