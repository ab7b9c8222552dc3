//! What a subtask counts, for people: read by the REST API while the subtask writes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use weir_operator::turn::MetricChange;
use weir_protocol::time::{NO_TIME, Timestamp};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, delta: u64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one subtask; Flink's names in the docs.
#[derive(Debug)]
pub struct SubtaskMetrics {
    /// `numRecordsIn`.
    pub records_in: Counter,
    /// `numRecordsOut`.
    pub records_out: Counter,
    /// `numBytesIn`.
    pub bytes_in: Counter,
    /// `numBytesOut`.
    pub bytes_out: Counter,
    /// `numFiredTimers`.
    pub timers_fired: Counter,
    /// Values, list elements and map entries that were dropped because they had expired.
    pub state_expired: Counter,
    /// Records that went to the dead letters or were skipped.
    pub dead_letters: Counter,
    /// Calls that were undone and tried again.
    pub retries: Counter,
    /// Batches processed.
    pub batches: Counter,
    /// Nanoseconds of the synchronous phases of all checkpoints together.
    pub freeze_nanos: Counter,
    /// Nanoseconds from the first barrier of a checkpoint to the last, all checkpoints together
    /// (`checkpointAlignmentTime`).
    pub alignment_nanos: Counter,
    watermark: AtomicI64,
    state: Mutex<StateMetrics>,
    own: Mutex<BTreeMap<String, OwnMetric>>,
}

/// What the state of a subtask holds, when it was last looked at: at a barrier, or a second after the look before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateMetrics {
    /// Bytes of all states and timers, as the job's quota counts them.
    pub bytes: u64,
    /// Bytes of records and timers of keys that memory holds, as their limit counts them.
    pub live: u64,
    /// Pending timers.
    pub timers: u64,
    /// Each state, by name.
    pub states: BTreeMap<String, StateMetric>,
    /// When growth was last reckoned.
    reckoned_at: Option<Timestamp>,
}

/// What is known of one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateMetric {
    /// How much it holds.
    pub size: StateSize,
    /// How many bytes more (or fewer) it held after each second, over the last second or longer.
    pub growth: i64,
    /// Its bytes when growth was last reckoned.
    reckoned: u64,
}

/// How much a state holds, in memory and on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Bytes: keys and values, and 16 to 24 bytes each.
    pub bytes: u64,
    /// Values, elements and entries.
    pub entries: u64,
    /// When its oldest entry was last written, or read where that refreshes it; `None`: it holds none, or has no time to
    /// live, and so bears no stamps.
    pub oldest: Option<Timestamp>,
}

/// Growth is reckoned over so many milliseconds at least.
pub const GROWTH_MS_MIN: i64 = 1_000;

/// How many metrics of its own an operator may have; further names are passed over.
pub const OWN_METRICS_MAX: usize = 100;

/// A metric of the operator's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OwnMetric {
    /// What a counter stands at.
    Counter(u64),
    /// What a gauge shows.
    Gauge(f64),
    /// What a histogram was given.
    Histogram {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
}

impl Default for SubtaskMetrics {
    fn default() -> Self {
        Self {
            records_in: Counter::default(),
            records_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            timers_fired: Counter::default(),
            state_expired: Counter::default(),
            dead_letters: Counter::default(),
            retries: Counter::default(),
            batches: Counter::default(),
            freeze_nanos: Counter::default(),
            alignment_nanos: Counter::default(),
            watermark: AtomicI64::new(NO_TIME),
            state: Mutex::default(),
            own: Mutex::default(),
        }
    }
}

impl SubtaskMetrics {
    /// `currentInputWatermark`.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark.load(Ordering::Relaxed)
    }

    /// Notes the watermark.
    pub fn set_watermark(&self, watermark: i64) {
        self.watermark.store(watermark, Ordering::Relaxed);
    }

    /// What the state holds.
    #[must_use]
    pub fn state(&self) -> StateMetrics {
        self.state.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Notes what the state holds.
    pub fn note_state<'s>(
        &self,
        now: Timestamp,
        bytes: u64,
        live: u64,
        timers: u64,
        sizes: impl Iterator<Item = (&'s str, StateSize)>,
    ) {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        let elapsed = state.reckoned_at.map(|at| now.saturating_sub(at));
        let reckons = elapsed.is_none_or(|elapsed| elapsed >= GROWTH_MS_MIN);
        if reckons {
            state.reckoned_at = Some(now);
        }
        state.bytes = bytes;
        state.live = live;
        state.timers = timers;
        for (name, size) in sizes {
            let metric = match state.states.get_mut(name) {
                Some(metric) => metric,
                None => state.states.entry(name.to_owned()).or_default(),
            };
            if reckons {
                let more = size.bytes.cast_signed() - metric.reckoned.cast_signed();
                metric.growth = elapsed.map_or(0, |elapsed| more.saturating_mul(1_000) / elapsed);
                metric.reckoned = size.bytes;
            }
            metric.size = size;
        }
    }

    /// The operator's own metrics, by name.
    #[must_use]
    pub fn own(&self) -> BTreeMap<String, OwnMetric> {
        self.own.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Notes what a committed call changed of the operator's own metrics.
    pub fn note(&self, changes: Vec<MetricChange>) {
        if changes.is_empty() {
            return;
        }
        let mut own = self.own.lock().expect("nothing panics while it holds this lock");
        for change in changes {
            let (name, change) = match change {
                MetricChange::Counter(name, delta) => (name, OwnMetric::Counter(delta)),
                MetricChange::Gauge(name, value) => (name, OwnMetric::Gauge(value)),
                MetricChange::Histogram(name, value) => {
                    (name, OwnMetric::Histogram { count: 1, sum: value, min: value, max: value })
                }
            };
            let has_room = own.len() < OWN_METRICS_MAX;
            if let Some(metric) = own.get_mut(&name) {
                *metric = metric.merged(change);
            } else if has_room {
                own.insert(name, change);
            }
        }
    }
}

impl OwnMetric {
    /// A name that comes back as another kind of metric begins anew as that.
    fn merged(self, change: Self) -> Self {
        match (self, change) {
            (Self::Counter(value), Self::Counter(delta)) => Self::Counter(value.saturating_add(delta)),
            (
                Self::Histogram { count, sum, min, max },
                Self::Histogram { count: more, sum: delta, min: low, max: high },
            ) => Self::Histogram { count: count + more, sum: sum + delta, min: min.min(low), max: max.max(high) },
            (Self::Counter(_) | Self::Gauge(_) | Self::Histogram { .. }, change) => change,
        }
    }
}
