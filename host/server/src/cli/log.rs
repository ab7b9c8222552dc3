//! Where events go: to standard error, and into the journal.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::exit::Failure;
use crate::journal::Journal;

/// Starts logging; `default` is what `WEIR_LOG` says where it says nothing: levels by target, as in
/// `info,weir_engine=debug`.
///
/// # Errors
/// When `WEIR_LOG` cannot be read.
pub(super) fn start(journal: &Journal, default: &str) -> Result<(), Failure> {
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
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(journal.clone().with_filter(kept)).init();
    Ok(())
}
