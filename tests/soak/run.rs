//! One topic, seed after seed, on as many threads as it bears.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_engine::clock::Clock;
use weir_simulator::failure::Failure;
use weir_simulator::trace::Trace;
use weir_tests::figures::grouped;

use crate::progress::Progress;
use crate::say;
use crate::topic::{Counts, Topic};

/// How long a topic may take.
const TIME: Duration = Duration::from_secs(60 * 60);
/// How often a line tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Broken promises after which a topic ends: there is something to mend.
const VIOLATIONS_MAX: usize = 10;

/// Runs until the goal is reached; whether it was.
pub(crate) fn run(topic: &dyn Topic, enough: u64, progress: &mut Progress, folder: &Path) -> bool {
    let clock = Clock::system();
    let before = Duration::from_millis(progress.milliseconds);
    let mut told = None::<Duration>;
    say(&format!("{}: {}; progress in {}", topic.name(), so_far(topic, enough, progress), folder.display()));
    while progress.counts.of(topic.goal().what) < enough {
        if before + clock.elapsed() >= TIME || progress.violations.len() >= VIOLATIONS_MAX {
            return false;
        }
        turn(topic, progress);
        let elapsed = clock.elapsed();
        progress.milliseconds = u64::try_from((before + elapsed).as_millis()).unwrap_or(u64::MAX);
        progress.keep();
        if told.is_none_or(|told| elapsed >= told + TELL_EVERY) {
            told = Some(elapsed);
            say(&format!("{}: {}", topic.name(), so_far(topic, enough, progress)));
        }
    }
    true
}

fn so_far(topic: &dyn Topic, enough: u64, progress: &Progress) -> String {
    let (what, seconds) = (topic.goal().what, progress.milliseconds / 1_000);
    let done = progress.counts.of(what);
    let left = (seconds * enough.saturating_sub(done)).checked_div(done);
    let left = left.filter(|left| *left > 0).map_or_else(String::new, |left| format!(", about {left} s left"));
    let broken = progress.violations.len();
    format!("{} of {} {what} in {seconds} s{left}, {broken} violations", grouped(done), grouped(enough))
}

/// Tries the next seeds, and notes what came of them.
fn turn(topic: &dyn Topic, progress: &mut Progress) {
    let pace = topic.pace();
    let next = AtomicU64::new(progress.next);
    let end = progress.next + pace.turn;
    let done = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..pace.at_once {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let played = play(topic, seed);
                    let mut done = done.lock().expect("nothing panics while it holds this lock");
                    done.0.add(Counts::from_iter([("seeds", 1)]));
                    match played {
                        Ok(counts) => done.0.add(counts),
                        Err(failure) => done.1.push(failure),
                    }
                }
            });
        }
    });
    let (counts, failures) = done.into_inner().expect("nothing panics while it holds this lock");
    progress.next = end;
    progress.counts.add(counts);
    failures.iter().for_each(|failure| progress.violated(failure));
}

/// Tries one seed. A panic is a promise broken, too.
///
/// # Errors
/// The promise that was broken.
pub(crate) fn play(topic: &dyn Topic, seed: u64) -> Result<Counts, Box<Failure>> {
    catch_unwind(AssertUnwindSafe(|| topic.play(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        Err(Box::new(Failure {
            topic: "soak",
            seed,
            step: 0,
            invariant: "nothing-panics",
            detail: format!("{}: {text}", topic.name()),
            reproduce: format!("make soak TOPIC={} SEED={seed}", topic.name()),
            trace: Trace::default(),
        }))
    })
}
