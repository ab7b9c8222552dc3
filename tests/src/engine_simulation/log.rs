//! What happens in a run, as it happens: the trace that all actors note into, and the first broken promise.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use weir_engine::clock::Clock;
use weir_simulator::trace::Trace;

/// The widest text of a column.
const COLUMN_MAX: usize = 72;

/// A cheap handle to the trace of one run; also a layer for `tracing`.
#[derive(Debug, Clone)]
pub(super) struct Log {
    clock: Clock,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    trace: Trace,
    broken: Option<Broken>,
}

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    /// Its short name.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
    /// When, in simulated milliseconds.
    pub at: u64,
}

impl Log {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, noted: Arc::default() }
    }

    /// Simulated milliseconds since the run began.
    pub(super) fn at(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes what an actor did.
    pub(super) fn note(&self, actor: &str, text: impl Into<String>) {
        let text: String = text.into();
        let shown = text.char_indices().nth(COLUMN_MAX).map_or(text.len(), |(end, _)| end);
        self.lock().trace.note(self.at(), actor, &text[..shown]);
    }

    /// Notes that a promise is broken; the first one is what the run reports.
    pub(super) fn broken(&self, invariant: &'static str, detail: impl Into<String>) {
        let (detail, at) = (detail.into(), self.at());
        let mut noted = self.lock();
        noted.trace.note(at, "check", format!("{invariant}: {detail}"));
        noted.broken.get_or_insert(Broken { invariant, detail, at });
    }

    /// The first broken promise.
    pub(super) fn first_broken(&self) -> Option<Broken> {
        self.lock().broken.clone()
    }

    /// The trace so far.
    pub(super) fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().expect("nothing panics while it holds this lock")
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_step = metadata.target() == weir_engine::step::TARGET;
        if !metadata.target().starts_with("weir") || (*metadata.level() > Level::DEBUG && !is_step) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let actor = fields.actor.as_deref().unwrap_or("engine");
        let text = format!("{}{}", fields.message, fields.others);
        if *metadata.level() == Level::ERROR {
            self.broken("no-bugs", &text);
        }
        self.note(actor, text);
    }
}

/// The fields of one event. A subtask or an outlet has a column of its own.
#[derive(Default)]
struct Fields {
    actor: Option<String>,
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "subtask" | "outlet" => self.actor = Some(text),
            "message" => self.message = text,
            "job" | "name" => {}
            "step" | "when" => write!(self.message, "{text} ").expect("a text takes what is written to it"),
            name => write!(self.others, " {name}={text}").expect("a text takes what is written to it"),
        }
    }
}
