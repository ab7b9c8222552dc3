//! `/metrics`: what the jobs that run hold, in Prometheus's text format.
//!
//! Receives jobs as `/api/v1` shows them; guarantees that each family of samples is there once, with its help and type,
//! and that label values are escaped. Does not own what is measured, nor when.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use weir_engine::job::{CheckpointState, JobState, JobStatus};
use weir_protocol::time::Timestamp;

use crate::api::shape;
use crate::node::Node;

/// The version of the format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is measured of the node, and not of one job.
const CACHE: &str = "weir_rocksdb_cache_bytes";

/// What is counted of all jobs, those that have ended too.
const JOBS: &str = "weir_jobs";

/// Samples of one name.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Job<'_>, &mut dyn FnMut(&[(&str, &str)], f64)),
}

/// A job that runs, and what time it is.
struct Job<'a> {
    status: &'a JobStatus,
    shown: shape::Job,
    now: Timestamp,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "weir_job_state_bytes",
        kind: "gauge",
        help: "State and timers of a job, in memory and on disk.",
        samples: |job, sample| {
            let bytes: u64 = job.shown.vertices.iter().map(|vertex| vertex.state_bytes).sum();
            sample(&[], number(bytes));
        },
    },
    Family {
        name: "weir_job_state_limit_bytes",
        kind: "gauge",
        help: "What they may be: limits.state of the job file.",
        samples: |job, sample| {
            job.status.spec.limits.state_bytes_max.into_iter().for_each(|limit| sample(&[], number(limit)));
        },
    },
    Family {
        name: "weir_job_dead_letters_total",
        kind: "counter",
        help: "Records that were given up on over the job's life.",
        samples: |job, sample| sample(&[], number(job.shown.dead_letters)),
    },
    Family {
        name: "weir_job_checkpoints_completed_total",
        kind: "counter",
        help: "Checkpoints that this process completed.",
        samples: |job, sample| sample(&[], number(job.shown.checkpoints.completed)),
    },
    Family {
        name: "weir_job_checkpoints_failed_total",
        kind: "counter",
        help: "Checkpoints that failed in this process; the job's resource says why.",
        samples: |job, sample| sample(&[], number(job.shown.checkpoints.failed)),
    },
    Family {
        name: "weir_job_checkpoint_on_its_way_seconds",
        kind: "gauge",
        help: "How long ago the oldest checkpoint was triggered that is on its way; 0 where none is.",
        samples: |job, sample| {
            let history = job.status.checkpoints.history.iter();
            let open = history.filter(|checkpoint| checkpoint.state == CheckpointState::InProgress);
            let age = open.map(|checkpoint| job.now.saturating_sub(checkpoint.triggered_at)).max();
            sample(&[], signed(age.unwrap_or(0).max(0)) / 1_000.0);
        },
    },
    Family {
        name: "weir_operator_timers",
        kind: "gauge",
        help: "Pending timers.",
        samples: |job, sample| {
            job.operators().for_each(|vertex| sample(&[("operator", &vertex.uid)], number(vertex.timers)));
        },
    },
    Family {
        name: "weir_operator_state_expired_total",
        kind: "counter",
        help: "Values, elements and entries that left memory because they had expired; what expires on disk does not count.",
        samples: |job, sample| {
            job.operators().for_each(|vertex| sample(&[("operator", &vertex.uid)], number(vertex.state_expired)));
        },
    },
    Family {
        name: "weir_state_bytes",
        kind: "gauge",
        help: "A state, in memory and on disk: keys and values, and 16 to 24 bytes each.",
        samples: |job, sample| job.each_state(|labels, state| sample(labels, number(state.bytes))),
    },
    Family {
        name: "weir_state_entries",
        kind: "gauge",
        help: "Values, elements and entries of a state.",
        samples: |job, sample| job.each_state(|labels, state| sample(labels, number(state.entries))),
    },
    Family {
        name: "weir_state_growth_bytes_per_second",
        kind: "gauge",
        help: "By how much a state grew over the last second or longer.",
        samples: |job, sample| job.each_state(|labels, state| sample(labels, signed(state.growth))),
    },
    Family {
        name: "weir_state_oldest_entry_age_seconds",
        kind: "gauge",
        help: "How long ago the oldest entry of a state with a time to live was last written or refreshed.",
        samples: |job, sample| {
            job.each_state(|labels, state| {
                let age = state.oldest_entry.map(|oldest| job.now.saturating_sub(oldest).max(0));
                age.into_iter().for_each(|age| sample(labels, signed(age) / 1_000.0));
            });
        },
    },
];

impl Job<'_> {
    fn operators(&self) -> impl Iterator<Item = &shape::Vertex> {
        self.shown.vertices.iter().filter(|vertex| vertex.kind == "operator")
    }

    fn each_state(&self, mut sample: impl FnMut(&[(&str, &str)], &shape::State)) {
        for vertex in self.operators() {
            vertex.states.iter().for_each(|state| sample(&[("operator", &vertex.uid), ("state", &state.name)], state));
        }
    }
}

/// All that is measured.
pub(super) async fn page(State(node): State<Node>) -> impl IntoResponse {
    let jobs = node.engine().jobs();
    let mut page = render(&jobs, node.clock().now()) + &by_state(&jobs);
    if let Some(disk) = node.disk() {
        let bytes = disk.bytes();
        page.push_str(&format!(
            "# HELP {CACHE} Memory that all local RocksDBs hold together: blocks, and writes that no file has yet.\n\
             # TYPE {CACHE} gauge\n{CACHE} {bytes}\n"
        ));
    }
    ([(CONTENT_TYPE, FORMAT)], page)
}

fn render(jobs: &[JobStatus], now: Timestamp) -> String {
    let running = jobs.iter().filter(|job| !job.state.is_terminal());
    let jobs: Vec<_> = running.map(|status| Job { status, shown: shape::Job::short(status), now }).collect();
    let mut page = String::new();
    let mut add = |line: std::fmt::Arguments<'_>| page.write_fmt(line).expect("a text takes what is written to it");
    for Family { name, kind, help, samples } in FAMILIES {
        add(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for job in &jobs {
            let mut sample = |labels: &[(&str, &str)], value: f64| {
                add(format_args!("{name}{{job=\"{}\",job_id=\"{}\"", escaped(&job.shown.name), job.shown.id));
                labels.iter().for_each(|(label, value)| add(format_args!(",{label}=\"{}\"", escaped(value))));
                add(format_args!("}} {value}\n"));
            };
            samples(job, &mut sample);
        }
    }
    page
}

/// How many jobs are in each state; 0 too, so that the first one is a rise.
fn by_state(jobs: &[JobStatus]) -> String {
    let help = "Jobs that this node knows, by state; those that have ended stay.";
    JobState::ALL.iter().fold(format!("# HELP {JOBS} {help}\n# TYPE {JOBS} gauge\n"), |page, state| {
        let count = jobs.iter().filter(|job| job.state == *state).count();
        format!("{page}{JOBS}{{state=\"{}\"}} {count}\n", state.as_str())
    })
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "the format has such numbers only")]
const fn number(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "the format has such numbers only")]
const fn signed(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FAMILIES, JOBS, escaped};

    const RULES: &str = include_str!("../../../../docs/alerts.yaml");

    #[test]
    fn alert_rules_stand_on_metrics_that_there_are() {
        let known: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(known.len(), FAMILIES.len(), "each family is there once");
        let named = |line: &&str| line.trim_start().starts_with("expr:");
        let words = RULES.lines().filter(named).flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        let used: BTreeSet<_> = words.filter(|word| word.starts_with("weir_")).collect();
        let known: BTreeSet<_> = known.into_iter().chain([JOBS]).collect();
        assert!(!used.is_empty() && used.is_subset(&known), "unknown: {:?}", used.difference(&known));
        let count = |key: &str| RULES.lines().filter(|line| line.trim_start().starts_with(key)).count();
        assert_eq!((count("- alert:"), count("for:")), (count("expr:"), count("expr:")));
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
