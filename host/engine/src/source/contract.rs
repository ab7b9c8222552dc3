//! What every source must do, whatever it reads.

use std::collections::BTreeMap;

use futures::FutureExt;

use super::{Polled, Positions, Source};

/// A source with a known, finite supply: it ends, or reports idleness, behind its last record.
pub(super) struct Case<'a> {
    /// Its start positions.
    pub(super) start: Positions,
    /// The parallelism that it starts with.
    pub(super) parallelism: u32,
    /// Opens a subtask, of a parallelism, from positions.
    pub(super) open: &'a dyn Fn(u32, u32, &Positions) -> Box<dyn Source>,
}

/// Records and rejects, as text, with how often each was seen.
pub(super) type Seen = BTreeMap<String, u64>;

/// Runs the suite, and gives back everything that the source gave.
pub(super) async fn check(case: &Case<'_>) -> Seen {
    let all = run(case, case.parallelism, case.start.clone()).await;
    assert!(!all.is_empty(), "a case without records shows nothing");
    any_position_leads_to_exactly_the_remaining_records(case, &all).await;
    a_dropped_next_takes_nothing(case, &all).await;
    all
}

/// Everything from these positions on.
async fn run(case: &Case<'_>, parallelism: u32, positions: Positions) -> Seen {
    let mut seen = Seen::new();
    for subtask in 0..parallelism {
        let mut source = (case.open)(subtask, parallelism, &positions);
        while add(&mut seen, source.next().await.expect("the source can be read")) {}
    }
    seen
}

async fn any_position_leads_to_exactly_the_remaining_records(case: &Case<'_>, all: &Seen) {
    let mut sources: Vec<_> =
        (0..case.parallelism).map(|subtask| (case.open)(subtask, case.parallelism, &case.start)).collect();
    let mut seen = Seen::new();
    let mut steps = 0;
    let mut open: Vec<usize> = (0..sources.len()).collect();
    while !open.is_empty() {
        let index = open[steps % open.len()];
        let went_on = add(&mut seen, sources[index].next().await.expect("the source can be read"));
        open.retain(|&other| other != index || went_on);
        let positions: Positions = sources.iter().flat_map(|source| source.positions()).collect();
        let parallelism = u32::try_from(steps % 4 + 1).unwrap();
        let mut rest = run(case, parallelism, positions).await;
        seen.iter().for_each(|(record, count)| *rest.entry(record.clone()).or_default() += count);
        assert_eq!(&rest, all, "after step {steps}, gone on with by {parallelism} subtasks");
        steps += 1;
    }
}

async fn a_dropped_next_takes_nothing(case: &Case<'_>, all: &Seen) {
    let mut seen = Seen::new();
    for subtask in 0..case.parallelism {
        let mut source = (case.open)(subtask, case.parallelism, &case.start);
        let mut patience = 0;
        loop {
            let before = source.positions();
            let polled =
                if patience < 3 { polled_times(&mut *source, patience).await } else { Some(source.next().await) };
            let Some(polled) = polled else {
                assert_eq!(source.positions(), before, "what was dropped took nothing");
                patience += 1;
                continue;
            };
            patience = 0;
            if !add(&mut seen, polled.expect("the source can be read")) {
                break;
            }
        }
    }
    assert_eq!(&seen, all);
}

/// Polls `next` a few times, letting other work go on in between, and drops it.
async fn polled_times(source: &mut dyn Source, times: usize) -> Option<Result<Polled, super::SourceError>> {
    let mut next = source.next();
    for _ in 0..=times {
        if let Some(polled) = (&mut next).now_or_never() {
            return Some(polled);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Notes what a source gave; whether more may come.
fn add(seen: &mut Seen, polled: Polled) -> bool {
    let Polled::Batch { batch, rejects } = polled else { return false };
    assert!(batch.rows <= super::BATCH_ROWS_MAX);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for row in 0..batch.rows as usize {
        let key = batch.keys.as_ref().map(|keys| text(keys.distinct.get(keys.key_of[row] as usize)));
        let record = format!("{key:?} {:?} {:?}", batch.values.get(row).map(text), batch.timestamps.get(row));
        *seen.entry(record).or_default() += 1;
    }
    for reject in rejects {
        let record = format!("rejected {} {}", reject.origin, reject.reason);
        *seen.entry(record).or_default() += 1;
    }
    true
}
