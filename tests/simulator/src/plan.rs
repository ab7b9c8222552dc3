//! What a seed chooses before a run begins: the job, how faulty the world is, and what people will want.

use crate::chance::Chance;
use crate::data::{KEYS, Record, SPLITS};

/// After this, nothing fails any more.
const QUIET_AT: u64 = 420;

#[derive(Debug)]
pub(crate) struct Plan {
    /// Subtasks of each source, of the operator and of the sink.
    pub(crate) sources: u32,
    pub(crate) operators: u32,
    pub(crate) sinks: u32,
    pub(crate) retained: u32,
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) concurrent: u32,
    /// Barriers overtake what is queued.
    pub(crate) unaligned: bool,
    /// The sink publishes parts, then a list; else everything in one transaction.
    pub(crate) files: bool,
    /// Nodes keep state on local disk.
    pub(crate) disk: bool,
    /// There is an ingest log.
    pub(crate) ingest: bool,
    /// Sources that have nothing for a time say so.
    pub(crate) idle: bool,
    /// By side and split.
    pub(crate) streams: Vec<Vec<Record>>,
    /// When each record of a split is there.
    pub(crate) available: Vec<Vec<u64>>,
    pub(crate) faults_per_mille: u64,
    pub(crate) slow_per_mille: u64,
    pub(crate) quiet_at: u64,
    pub(crate) crashes: Vec<Outage>,
    pub(crate) pauses: Vec<Outage>,
    /// When the store is away; when the sink is.
    pub(crate) store_away: Option<(u64, u64)>,
    pub(crate) sink_away: Option<(u64, u64)>,
    pub(crate) wishes: Vec<(u64, Wish)>,
    /// A merge begins once this many files lie behind the base.
    pub(crate) files_max: usize,
    pub(crate) orphan_grace: u64,
    /// Orphans are deleted as soon as they are listed; else at the next collection.
    pub(crate) sweeps_at_once: bool,
}

/// Something happens to a node for a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) node: usize,
    pub(crate) at: u64,
    pub(crate) length: u64,
}

/// What people want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Cancel,
    Rescale(u32),
    RollBack,
    Fork,
    /// An object of the newest entry is damaged, until a person restores it from a copy.
    Damage,
    Repair,
}

impl Plan {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let records = chance.between(8, 24);
        let gap = chance.between(2, 12);
        let idle = chance.one_in(2);
        let splits = usize::from(2 * SPLITS);
        let streams: Vec<_> = (0..2 * SPLITS).map(|of| stream(chance, of, records)).collect();
        let mut available: Vec<_> = (0..splits).map(|_| arrivals(chance, records, gap)).collect();
        if idle {
            stall(chance, &mut available);
        }
        let files = chance.one_in(2);
        let (crashes, mut pauses) = (outages(chance, 3, 90), outages(chance, 4, 220));
        let wishes = wishes(chance, files);
        let away = |chance: &mut Chance, one_in| {
            let from = chance.between(20, 200);
            let length = chance.between(30, 130);
            chance.one_in(one_in).then_some((from, from + length))
        };
        let unaligned = chance.one_in(3);
        let store_away = away(chance, 6);
        // Results that nobody can see yet are what can be rolled back.
        let rollback = wishes.iter().find(|(_, wish)| *wish == Wish::RollBack).map(|(at, _)| *at);
        if let Some(at) = rollback {
            // An owner that wakes up behind it still has results to publish.
            let (node, length) = (chance.index(2), chance.between(30, 90));
            pauses.push(Outage { node, at: at.saturating_sub(10), length });
        }
        let sink_away = rollback.map(|at| (at.saturating_sub(60), at + 40)).or_else(|| away(chance, 4));
        Self {
            sources: small(chance, 2),
            operators: small(chance, 3),
            sinks: small(chance, 2),
            retained: small(chance, 3),
            interval: chance.between(5, 25),
            timeout: chance.between(50, 150),
            concurrent: small(chance, 2),
            unaligned,
            files,
            // What is on its way in channels is in no local file.
            disk: chance.one_in(2) && !unaligned,
            ingest: chance.one_in(3),
            idle,
            streams,
            available,
            faults_per_mille: [0, 20, 60, 150][chance.index(4)],
            slow_per_mille: [2, 8, 40][chance.index(3)],
            quiet_at: QUIET_AT,
            crashes,
            pauses,
            store_away,
            sink_away,
            wishes,
            files_max: usize::try_from(chance.between(2, 4)).expect("it is small"),
            orphan_grace: chance.between(5, 60),
            sweeps_at_once: chance.one_in(2),
        }
    }
}

fn small(chance: &mut Chance, most: u32) -> u32 {
    u32::try_from(chance.between(1, most.into())).expect("it is small")
}

fn stream(chance: &mut Chance, of: u8, records: u64) -> Vec<Record> {
    let (side, split) = (of / SPLITS, of % SPLITS);
    let mut time = 1;
    let records = (0..u32::try_from(records).expect("it is small")).map(|position| {
        time += i64::try_from(chance.between(2, 16)).expect("it is small");
        let keys = u64::from(KEYS / SPLITS);
        let key = u8::try_from(chance.below(keys)).expect("it is small") * SPLITS + split;
        Record { side, split, position, key, request: 0, time }
    });
    records.collect()
}

fn arrivals(chance: &mut Chance, records: u64, gap: u64) -> Vec<u64> {
    let mut at = 0;
    let arrivals = (0..records).map(|_| {
        at += chance.below(2 * gap + 1);
        at
    });
    arrivals.collect()
}

/// One split has nothing for a time; both of a side, often.
fn stall(chance: &mut Chance, available: &mut [Vec<u64>]) {
    let length = chance.between(40, 90);
    let side = chance.index(2) * usize::from(SPLITS);
    for arrivals in &mut available[side..side + usize::from(SPLITS)] {
        let from = chance.index(arrivals.len());
        arrivals[from..].iter_mut().for_each(|at| *at += length);
    }
}

fn outages(chance: &mut Chance, most: u64, longest: u64) -> Vec<Outage> {
    let count = chance.below(most + 1);
    let outage = |chance: &mut Chance| Outage {
        node: chance.index(2),
        at: chance.between(5, 260),
        length: chance.between(10, longest),
    };
    (0..count).map(|_| outage(chance)).collect()
}

/// Rollbacks need a sink that can fence an earlier owner: a table, not files.
fn wishes(chance: &mut Chance, files: bool) -> Vec<(u64, Wish)> {
    let mut wishes = Vec::new();
    for _ in 0..chance.below(4) {
        let at = chance.between(30, 220);
        let wish = match chance.below(12) {
            0..4 => Wish::Rescale(small(chance, 4)),
            4..8 if !files => Wish::RollBack,
            4..9 => Wish::Fork,
            9 => Wish::Cancel,
            _ => Wish::Damage,
        };
        wishes.push((at, wish));
    }
    wishes
}
