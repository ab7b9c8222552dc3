//! Where events go: to standard error, into the journal, and to whoever embeds the command line.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::exit::Failure;
use crate::journal::Journal;

/// Somebody who hears events, as many as its own filter lets through: what the log shows does not matter to it.
pub type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging; `default` is what `WEIR_LOG` says where it says nothing: levels by target, as in
/// `info,weir_engine=debug`.
///
/// # Errors
/// When `WEIR_LOG` cannot be read.
pub(super) fn start(journal: &Journal, default: &str, mut listeners: Vec<Listener>) -> Result<(), Failure> {
    let wanted = std::env::var("WEIR_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|error| {
        Failure::wrong_use(
            format!("WEIR_LOG is `{wanted}`: {error}"),
            "write levels, for example info,weir_engine=debug",
        )
    })?;
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false);
    let kept = Targets::new().with_target("weir", Level::INFO).with_target("weir::guest", Level::DEBUG);
    listeners.push(lines.with_filter(filter).boxed());
    listeners.push(journal.clone().with_filter(kept).boxed());
    tracing_subscriber::registry().with(listeners).init();
    Ok(())
}
