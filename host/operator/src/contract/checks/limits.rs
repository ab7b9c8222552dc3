//! Limits that hold for every implementation: what a call may emit, write and name.

use weir_protocol::job_spec::LimitSpec;

use super::{Made, Trial, mentions, panic_with};
use crate::operator::CallError;

pub(super) async fn check(factory: &Made) {
    for (command, part) in
        [("flood", "emitted more than 1000000 bytes"), ("names", "an instance has at most 256 metrics")]
    {
        mentions(&limited(factory, &[("a", command)]).await, part);
    }
    // Forwarding one big row often is as much as emitting it often.
    let big = format!("log {}", "x".repeat(100_000));
    let forward = format!("forward {}", ["0"; 11].join(","));
    mentions(&limited(factory, &[("a", &big), ("a", &forward)]).await, "emitted more than");
    let set = format!("value-set {}", "x".repeat(100_000));
    mentions(&limited(factory, &[("a", set.as_str()); 11]).await, "wrote more than 1000000 bytes to state");
    reading_one_big_value_often_is_bounded(factory).await;
}

async fn reading_one_big_value_often_is_bounded(factory: &Made) {
    let often = vec!["0"; 10_000];
    for (write, read) in [
        ("value-set", format!("value-load-some {}", often.join(","))),
        ("list-append", format!("list-get-many {}", often.join(","))),
        ("map-put e=", format!("map-get-many {}", vec!["0=e"; 10_000].join(","))),
    ] {
        let limits = LimitSpec { memory_bytes_max: 20_000_000, ..LimitSpec::default() };
        let mut trial = Trial::open(factory, "", limits).await.expect("the odd operator opens");
        let write = format!("{write} {}", "x".repeat(100_000));
        match trial.keyed(&[("a", &write), ("a", &read)]).await {
            Err(CallError::Limit(message)) => mentions(&message, "has more than 20000000 bytes"),
            other => panic_with("reading the value so often passes a limit", &other.map(|read| read.len())),
        }
    }
}

async fn limited(factory: &Made, rows: &[(&str, &str)]) -> String {
    let limits = LimitSpec { emitted_bytes_max: 1_000_000, ..LimitSpec::default() };
    let mut trial = Trial::open(factory, "", limits).await.expect("the odd operator opens");
    match trial.keyed(rows).await {
        Err(CallError::Limit(message)) => message,
        other => panic_with("the call passes a limit", &other),
    }
}
