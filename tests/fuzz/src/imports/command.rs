//! Calls and what the operator asks for in them, made from decisions: mostly legal, often not.

use weir_operator::abilities::NewRecords;
use weir_operator::batch::{Batch, BytesColumn, HeaderColumn, Keys, NO_KEY, OptionalColumn};
use weir_operator::turn::{FiredTimers, Origin, TimeDomain, TimerChange, Work};

use crate::choices::Choices;

/// The keys that there are.
pub(super) const KEYS: [&[u8]; 4] = [b"a", b"", b"bb", b"a\0"];

/// Something that an operator asks for; state is that of the declared kind.
#[derive(Debug, Clone)]
pub(super) enum Command {
    GetValue(u32),
    SetValue(u32, Option<Vec<u8>>),
    Load,
    Store(OptionalColumn),
    LoadSome(Vec<u32>),
    StoreSome(Vec<u32>, OptionalColumn),
    GetList(u32),
    Append(u32, Vec<u8>),
    SetList(u32, BytesColumn),
    AppendMany(Vec<u32>, BytesColumn),
    GetLists(Vec<u32>),
    GetEntry(u32, Vec<u8>),
    PutEntry(u32, Vec<u8>, Option<Vec<u8>>),
    ClearMap(u32),
    IsMapEmpty(u32),
    Scan { key: u32, start: Option<Vec<u8>>, end: Option<Vec<u8>>, limit: usize },
    GetEntries(Vec<u32>, BytesColumn),
    PutEntries(Vec<u32>, BytesColumn, OptionalColumn),
    Timer(TimerChange),
    Timers { register: bool, domain: TimeDomain, keys: Vec<u32>, at: Vec<i64>, tag: u32 },
    Watermark,
    ProcessingTime,
    Emit(u32, NewRecords),
    Forward(u32, Vec<u32>),
    Reject(Vec<u32>, String),
    HeaderNames,
    Header(String),
    Counter(String, u64),
    Gauge(String),
    Log(String),
    OpenState(String),
    Fail(Vec<u32>),
}

/// What is processed in a call.
pub(super) fn work(choices: &mut Choices<'_>) -> Work {
    let rows = choices.below(5);
    let keys = Keys::encode((0..rows).map(|_| *choices.pick(&KEYS)));
    match choices.below(10) {
        0 => Work::Finish,
        1 | 2 => Work::Timers(FiredTimers {
            domain: domain(choices),
            at: (0..rows).map(|_| choices.signed()).collect(),
            tags: (0..rows).map(|_| choices.u32() % 3).collect(),
            keys,
        }),
        input @ (3 | 4) => {
            let mut batch = batch(choices, rows, keys);
            if choices.one_in(2) {
                batch.keys = None;
            } else if let Some(first) = batch.keys.as_mut().and_then(|keys| keys.key_of.first_mut()) {
                *first = NO_KEY;
            }
            Work::Batch { input: u32::try_from(input).expect("it is small") - 2, batch }
        }
        _ => Work::Batch { input: 0, batch: batch(choices, rows, keys) },
    }
}

fn batch(choices: &mut Choices<'_>, rows: usize, keys: Keys) -> Batch {
    let value = |choices: &mut Choices<'_>| (!choices.one_in(5)).then(|| choices.bytes(6));
    let column = |choices: &mut Choices<'_>| {
        let values: Vec<_> = (0..rows).map(|_| value(choices)).collect();
        values.iter().map(Option::as_deref).collect::<OptionalColumn>()
    };
    let header = |choices: &mut Choices<'_>| HeaderColumn { name: name(choices), values: column(choices) };
    Batch {
        rows: u32::try_from(rows).expect("it is small"),
        keys: Some(keys),
        values: column(choices),
        timestamps: if choices.one_in(2) { vec![7; rows] } else { Vec::new() },
        headers: (0..choices.below(3)).map(|_| header(choices)).collect(),
    }
}

/// What is asked for in a call.
pub(super) fn list(choices: &mut Choices<'_>, work: &Work) -> Vec<Command> {
    let sizes = Sizes { rows: work.rows() as usize, keys: work.keys().map_or(0, Keys::count) };
    (0..choices.below(7)).map(|_| sizes.command(choices)).collect()
}

fn name(choices: &mut Choices<'_>) -> String {
    if choices.one_in(8) { choices.text(9) } else { (*choices.pick(&["n", "m"])).to_owned() }
}

fn domain(choices: &mut Choices<'_>) -> TimeDomain {
    *choices.pick(&[TimeDomain::EventTime, TimeDomain::ProcessingTime])
}

/// What is legal in a call.
struct Sizes {
    rows: usize,
    keys: usize,
}

impl Sizes {
    fn command(&self, choices: &mut Choices<'_>) -> Command {
        match choices.below(32) {
            0 => Command::GetValue(self.key(choices)),
            1 => Command::SetValue(self.key(choices), value(choices)),
            2 => Command::Load,
            3 => Command::Store(self.optional(choices, self.keys)),
            4 => Command::LoadSome(self.indices(choices, self.keys).0),
            5 => {
                let (keys, count) = self.indices(choices, self.keys);
                Command::StoreSome(keys, self.optional(choices, count))
            }
            6 => Command::GetList(self.key(choices)),
            7 => Command::Append(self.key(choices), choices.bytes(9)),
            8 => Command::SetList(self.key(choices), self.fresh_column(choices)),
            9 => {
                let (keys, count) = self.indices(choices, self.keys);
                Command::AppendMany(keys, column(choices, count))
            }
            10 => Command::GetLists(self.indices(choices, self.keys).0),
            11 => Command::GetEntry(self.key(choices), entry(choices)),
            12 | 13 => Command::PutEntry(self.key(choices), entry(choices), value(choices)),
            14 => Command::ClearMap(self.key(choices)),
            15 => Command::IsMapEmpty(self.key(choices)),
            16 => {
                let bound = |choices: &mut Choices<'_>| choices.one_in(2).then(|| entry(choices));
                let any = usize::try_from(choices.number()).unwrap_or(usize::MAX).min(u32::MAX as usize);
                let limit = if choices.one_in(2) { choices.below(4) } else { any };
                Command::Scan { key: self.key(choices), start: bound(choices), end: bound(choices), limit }
            }
            17 => {
                let (keys, count) = self.indices(choices, self.keys);
                Command::GetEntries(keys, entries(choices, count))
            }
            18 => {
                let (keys, count) = self.indices(choices, self.keys);
                Command::PutEntries(keys, entries(choices, count), self.optional(choices, count))
            }
            19 => Command::Timer(TimerChange {
                register: choices.one_in(2),
                domain: domain(choices),
                key: self.key(choices),
                at: choices.signed(),
                tag: choices.u32(),
            }),
            20 => {
                let (keys, count) = self.indices(choices, self.keys);
                let at = (0..off(choices, count)).map(|_| choices.signed()).collect();
                let (register, domain, tag) = (choices.one_in(2), domain(choices), choices.u32());
                Command::Timers { register, domain, keys, at, tag }
            }
            21 => Command::Watermark,
            22 => Command::ProcessingTime,
            23 | 24 => Command::Emit(port(choices), self.records(choices)),
            25 => Command::Forward(port(choices), self.indices(choices, self.rows).0),
            26 => Command::Reject(self.indices(choices, self.rows).0, choices.text(9)),
            27 => Command::HeaderNames,
            28 => Command::Header(name(choices)),
            29 => Command::Counter(name(choices), choices.number()),
            30 => match choices.below(4) {
                0 => Command::OpenState(name(choices)),
                1 => Command::Fail(self.indices(choices, self.rows).0),
                _ => Command::Gauge(name(choices)),
            },
            _ => Command::Log(choices.text(9)),
        }
    }

    fn key(&self, choices: &mut Choices<'_>) -> u32 {
        index(choices, self.keys)
    }

    /// Some indices below a bound, mostly; and how many.
    fn indices(&self, choices: &mut Choices<'_>, bound: usize) -> (Vec<u32>, usize) {
        let count = if bound == 0 && !choices.one_in(8) { 0 } else { choices.below(6) };
        ((0..count).map(|_| index(choices, bound)).collect(), count)
    }

    fn fresh_column(&self, choices: &mut Choices<'_>) -> BytesColumn {
        let count = choices.below(4);
        column(choices, count)
    }

    fn optional(&self, choices: &mut Choices<'_>, count: usize) -> OptionalColumn {
        let values = column(choices, count);
        let bytes = if choices.one_in(2) { 0 } else { values.len().div_ceil(8) };
        let validity = (0..off(choices, bytes)).map(|_| choices.byte()).collect();
        OptionalColumn { values, validity }
    }

    fn records(&self, choices: &mut Choices<'_>) -> NewRecords {
        let (origin, count) = match choices.below(5) {
            0 => (Origin::EachRow, self.rows),
            1 => {
                let (rows, count) = self.indices(choices, self.rows);
                (Origin::Rows(rows), count)
            }
            2 => {
                let (keys, count) = self.indices(choices, self.keys);
                (Origin::Keys(keys), count)
            }
            3 => {
                let distinct = self.fresh_column(choices);
                let (key_of, count) = self.indices(choices, distinct.len());
                (Origin::OwnKeys(Keys { distinct, hashes: Vec::new(), key_of }), count)
            }
            _ => (Origin::Unkeyed, choices.below(5)),
        };
        let mut records = NewRecords::new(origin, self.optional(choices, count));
        if choices.one_in(4) {
            records.timestamps = vec![choices.signed(); off(choices, count)];
        }
        if choices.one_in(4) {
            let header =
                |choices: &mut Choices<'_>| HeaderColumn { name: name(choices), values: self.optional(choices, count) };
            records.headers = Some((0..choices.below(3)).map(|_| header(choices)).collect());
        }
        records
    }
}

fn port(choices: &mut Choices<'_>) -> u32 {
    index(choices, 2)
}

/// Mostly below the bound.
fn index(choices: &mut Choices<'_>, bound: usize) -> u32 {
    if choices.one_in(24) || bound == 0 {
        return choices.u32();
    }
    u32::try_from(choices.below(bound)).expect("bounds are small")
}

/// Mostly that number.
fn off(choices: &mut Choices<'_>, count: usize) -> usize {
    if choices.one_in(24) { choices.below(12) } else { count }
}

fn value(choices: &mut Choices<'_>) -> Option<Vec<u8>> {
    (!choices.one_in(4)).then(|| choices.bytes(40))
}

fn entry(choices: &mut Choices<'_>) -> Vec<u8> {
    const ENTRIES: [&[u8]; 5] = [b"", b"\0", b"m", b"m\0", b"\xff\xff"];
    if choices.one_in(6) { choices.bytes(9) } else { choices.pick(&ENTRIES).to_vec() }
}

/// A column of so many values, mostly; its offsets may be anything.
fn column(choices: &mut Choices<'_>, count: usize) -> BytesColumn {
    if choices.one_in(24) {
        let offsets = (0..choices.below(6)).map(|_| u32::from(choices.byte() % 16)).collect();
        return BytesColumn { data: choices.bytes(15), offsets };
    }
    let values: Vec<_> = (0..off(choices, count)).map(|_| choices.bytes(12)).collect();
    values.iter().map(Vec::as_slice).collect()
}

fn entries(choices: &mut Choices<'_>, count: usize) -> BytesColumn {
    let entries: Vec<_> = (0..off(choices, count)).map(|_| entry(choices)).collect();
    entries.iter().map(Vec::as_slice).collect()
}
