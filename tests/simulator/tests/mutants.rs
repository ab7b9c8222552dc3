//! Every rule is needed: without it some seed breaks a promise. So the simulator would notice.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use weir_simulator::failure::Failure;
use weir_simulator::{Mutant, Rules, run};

/// Seeds within which a mutant must be caught.
const SEEDS_MAX: u64 = 5_000;

thread_local! {
    /// The file of this thread's last panic.
    static PANICKED_IN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Many mutants are caught by an assertion of the protocol itself; what that prints helps nobody here.
fn note_file(panic: &PanicHookInfo<'_>) {
    let file = panic.location().map_or("", |location| location.file());
    PANICKED_IN.with_borrow_mut(|known| file.clone_into(known));
}

/// Whether a failure shows that the rule is missed: a promise that is broken, or an assertion of the protocol; not one
/// of the simulator's own, which says only that a mutant has led it astray.
fn counts(failure: &Failure) -> bool {
    assert_ne!(failure.invariant, "same-seed-same-run", "{failure}");
    failure.invariant != "protocol-asserts" || PANICKED_IN.with_borrow(|file| file.contains("host/protocol/"))
}

fn first_caught(mutant: Mutant) -> Option<Box<Failure>> {
    (0..SEEDS_MAX).filter_map(|seed| run(seed, Rules::without(mutant)).err()).find(|failure| counts(failure))
}

#[test]
fn every_mutant_is_caught() {
    std::panic::set_hook(Box::new(note_file));
    let next = AtomicUsize::new(0);
    let caught: Mutex<Vec<(Mutant, Option<Box<Failure>>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let first = first_caught(mutant);
                    caught.lock().expect("no run panics").push((mutant, first));
                }
            });
        }
    });
    drop(std::panic::take_hook());
    let mut caught = caught.into_inner().expect("no run panics");
    caught.sort_by_key(|(mutant, _)| *mutant);
    for (mutant, failure) in &caught {
        let (name, rule) = (mutant.name(), mutant.rule());
        match failure {
            Some(failure) => println!("{name:<28} {rule:<14} seed {:>5}: {}", failure.seed, failure.invariant),
            None => println!("{name:<28} {rule:<14} never"),
        }
    }
    let missed: Vec<&str> =
        caught.iter().filter(|(_, failure)| failure.is_none()).map(|(mutant, _)| mutant.name()).collect();
    assert!(missed.is_empty(), "not caught within {SEEDS_MAX} seeds: {missed:?}");
}
