//! Logs and metrics in memory; the interface `telemetry` of the contract.

use super::with;
use crate::telemetry::Level;

pub(crate) fn log(level: Level, message: &str) {
    with(|scene| scene.world.logs.push((level, message.to_owned())));
}

pub(crate) fn counter_add(name: &str, delta: u64) {
    with(|scene| *scene.world.counters.entry(name.to_owned()).or_default() += delta);
}

pub(crate) fn gauge_set(name: &str, value: f64) {
    with(|scene| scene.world.gauges.insert(name.to_owned(), value));
}

pub(crate) fn histogram_record(name: &str, value: f64) {
    with(|scene| scene.world.histograms.entry(name.to_owned()).or_default().push(value));
}
