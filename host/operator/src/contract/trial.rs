//! One subtask of the odd operator, played by hand: turns in, what was emitted out.

use std::sync::Arc;

use weir_protocol::job_spec::LimitSpec;

use crate::batch::{Batch, BytesColumn, HeaderColumn, Keys};
use crate::keyed_state::{KeyedState, PlainState};
use crate::operator::{CallError, Factory, OpenContext, Operator};
use crate::turn::{Effects, Emission, Emitted, FiredTimers, TimeDomain, Turn, Work};
use crate::unkeyed_state::UnkeyedState;

/// One instance with state of its own; what a call that returned ok did is committed.
pub struct Trial {
    instance: Box<dyn Operator>,
    state: Option<Box<dyn KeyedState>>,
    /// What it holds for no key.
    pub unkeyed: UnkeyedState,
    /// The watermark of the calls.
    pub watermark: i64,
    /// The processing time of the calls.
    pub processing_time: i64,
    /// The seed of the calls.
    pub seed: u64,
    /// What the last call did, committed or not.
    pub effects: Effects,
}

impl Trial {
    /// Opens an instance with a configuration and limits.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn open(factory: &Arc<dyn Factory>, config: &str, limits: LimitSpec) -> Result<Self, CallError> {
        Self::open_on(factory, config, limits, UnkeyedState::default()).await
    }

    /// The same where state for no key is there already.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn open_on(
        factory: &Arc<dyn Factory>,
        config: &str,
        limits: LimitSpec,
        unkeyed: UnkeyedState,
    ) -> Result<Self, CallError> {
        let context = OpenContext { unkeyed: unkeyed.clone(), ..context(config, limits) };
        let instance = factory.open(context).await?;
        Ok(Self {
            instance,
            state: Some(Box::new(PlainState::new())),
            unkeyed,
            watermark: weir_protocol::time::NO_TIME,
            processing_time: 0,
            seed: 0,
            effects: Effects::default(),
        })
    }

    /// The same on other state than a plain one.
    #[must_use]
    pub fn with_state(mut self, state: Box<dyn KeyedState>) -> Self {
        self.state = Some(state);
        self
    }

    /// The state between two calls.
    ///
    /// # Panics
    /// Never: every call gives back what it was given.
    pub fn state_mut(&mut self) -> &mut dyn KeyedState {
        self.state.as_deref_mut().expect("every call gives back the state that it was given")
    }

    /// This instance with the state of another trial, as after a restart.
    #[must_use]
    pub fn with_state_of(mut self, other: Self) -> Self {
        self.state = other.state;
        self.unkeyed = other.unkeyed;
        self
    }

    /// Processes rows of (key, command) on the keyed input; see [`Self::call`].
    ///
    /// # Errors
    /// As the call.
    pub async fn keyed(&mut self, rows: &[(&str, &str)]) -> Result<Vec<String>, CallError> {
        self.call(Work::Batch { input: 0, batch: batch(rows) }).await
    }

    /// Processes commands on an input without keys: 1 is unkeyed, 2 is broadcast.
    ///
    /// # Errors
    /// As the call.
    pub async fn unkeyed(&mut self, input: u32, commands: &[&str]) -> Result<Vec<String>, CallError> {
        let rows: Vec<_> = commands.iter().map(|command| ("", *command)).collect();
        self.call(Work::Batch { input, batch: Batch { keys: None, ..batch(&rows) } }).await
    }

    /// Fires timers of (key, time, tag).
    ///
    /// # Errors
    /// As the call.
    pub async fn fire(&mut self, domain: TimeDomain, timers: &[(&str, i64, u32)]) -> Result<Vec<String>, CallError> {
        self.call(Work::Timers(FiredTimers {
            domain,
            keys: Keys::encode(timers.iter().map(|(key, ..)| key.as_bytes())),
            at: timers.iter().map(|(_, at, _)| *at).collect(),
            tags: timers.iter().map(|(.., tag)| *tag).collect(),
        }))
        .await
    }

    /// Makes one call, and commits what it did if it returned ok. Gives each record that left as `port:value`, and each
    /// forwarded row as `port>row`.
    ///
    /// # Errors
    /// As the call; then the instance is not to be called again.
    pub async fn call(&mut self, work: Work) -> Result<Vec<String>, CallError> {
        let mut turn = Turn::new(work);
        turn.watermark = self.watermark;
        turn.processing_time = self.processing_time;
        turn.seed = self.seed;
        turn.unkeyed = std::mem::take(&mut self.unkeyed);
        let keyed = matches!(turn.work, Work::Batch { input: 0, .. } | Work::Timers(_));
        if let Some(keys) = turn.work.keys().filter(|_| keyed) {
            let mut state = self.state.take().expect("every call gives back the state that it was given");
            state.select(keys, self.processing_time).expect("any keys can be selected");
            turn.state = Some(state);
        }
        let returned = self.instance.call(&mut turn).await;
        self.effects = std::mem::take(&mut turn.effects);
        self.unkeyed = turn.unkeyed;
        if returned.is_ok() {
            self.unkeyed.commit(std::mem::take(&mut self.effects.unkeyed));
        }
        if let Some(mut state) = turn.state.take() {
            if returned.is_ok() {
                state.commit(&self.effects.writes).expect("there is room");
            }
            self.state = Some(state);
        }
        returned.map(|()| self.effects.emissions.iter().flat_map(render).collect())
    }
}

/// What a trial's instance is opened with.
#[must_use]
pub fn context(config: &str, limits: LimitSpec) -> OpenContext {
    OpenContext {
        uid: "odd".into(),
        job: "contract".into(),
        config: config.into(),
        subtask: 0,
        parallelism: 1,
        seed: 42,
        processing_time: 0,
        unkeyed: UnkeyedState::default(),
        limits,
    }
}

/// Rows of (key, command), with event times 100, 101, … and one header.
#[must_use]
pub(super) fn batch(rows: &[(&str, &str)]) -> Batch {
    let numbers: Vec<String> = (0..rows.len()).map(|row| format!("h{row}")).collect();
    Batch {
        rows: u32::try_from(rows.len()).expect("a test has few rows"),
        keys: Some(Keys::encode(rows.iter().map(|(key, _)| key.as_bytes()))),
        values: rows.iter().map(|(_, command)| command.as_bytes()).collect::<BytesColumn>().into(),
        timestamps: (100..).take(rows.len()).collect(),
        headers: vec![HeaderColumn {
            name: "n".into(),
            values: numbers.iter().map(String::as_bytes).collect::<BytesColumn>().into(),
        }],
    }
}

fn render(emission: &Emission) -> Vec<String> {
    let port = emission.port;
    match &emission.records {
        Emitted::Forwarded(rows) => rows.iter().map(|row| format!("{port}>{row}")).collect(),
        Emitted::New { values, .. } => values
            .iter()
            .map(|value| {
                format!("{port}:{}", value.map_or("-".into(), |value| String::from_utf8_lossy(value).into_owned()))
            })
            .collect(),
    }
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial").field("effects", &self.effects).finish_non_exhaustive()
    }
}
