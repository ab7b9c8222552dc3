//! What an operator tells the people who run it: log lines and metrics.

use std::fmt;

pub use crate::bindings::weir::operator::telemetry::Level;
use crate::describe::{Field, Spec};
use crate::error::Result;
use crate::host;

/// Writes a log line; see the macros [`info!`](crate::info), [`warn!`](crate::warn) and so on.
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => host::telemetry::log(level, text),
        None => host::telemetry::log(level, &message.to_string()),
    }
}

/// Logs an error; takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($argument:tt)+) => {
        $crate::telemetry::log($crate::telemetry::Level::Error, ::core::format_args!($($argument)+))
    };
}

/// Logs a warning; takes what `format!` takes.
#[macro_export]
macro_rules! warn {
    ($($argument:tt)+) => {
        $crate::telemetry::log($crate::telemetry::Level::Warn, ::core::format_args!($($argument)+))
    };
}

/// Logs information; takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($argument:tt)+) => {
        $crate::telemetry::log($crate::telemetry::Level::Info, ::core::format_args!($($argument)+))
    };
}

/// Logs what helps to find a mistake; takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($argument:tt)+) => {
        $crate::telemetry::log($crate::telemetry::Level::Debug, ::core::format_args!($($argument)+))
    };
}

/// Logs every step; takes what `format!` takes.
#[macro_export]
macro_rules! trace {
    ($($argument:tt)+) => {
        $crate::telemetry::log($crate::telemetry::Level::Trace, ::core::format_args!($($argument)+))
    };
}

/// A count that only rises. A field of this type is a metric of the field's name, told to the host once per call.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    added: u64,
}

impl Counter {
    /// Adds to it.
    pub fn add(&mut self, delta: u64) {
        self.added += delta;
    }
}

impl Field for Counter {
    fn declare(name: &'static str, _spec: &mut Spec) -> Self {
        Self { name, added: 0 }
    }

    fn flush(&mut self) -> Result {
        if self.added > 0 {
            host::telemetry::counter_add(self.name, std::mem::take(&mut self.added));
        }
        Ok(())
    }
}

/// A value that rises and falls. A field of this type is a metric of the field's name, told to the host once per call.
#[derive(Debug)]
pub struct Gauge {
    name: &'static str,
    value: Option<f64>,
}

impl Gauge {
    /// Sets it.
    pub fn set(&mut self, value: f64) {
        self.value = Some(value);
    }
}

impl Field for Gauge {
    fn declare(name: &'static str, _spec: &mut Spec) -> Self {
        Self { name, value: None }
    }

    fn flush(&mut self) -> Result {
        if let Some(value) = self.value.take() {
            host::telemetry::gauge_set(self.name, value);
        }
        Ok(())
    }
}

/// The distribution of a value. A field of this type is a metric of the field's name; every record of it is a call of
/// the host.
#[derive(Debug)]
pub struct Histogram {
    name: &'static str,
}

impl Histogram {
    /// Records one value.
    pub fn record(&mut self, value: f64) {
        host::telemetry::histogram_record(self.name, value);
    }
}

impl Field for Histogram {
    fn declare(name: &'static str, _spec: &mut Spec) -> Self {
        Self { name }
    }
}
