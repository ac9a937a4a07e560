//! What an operator sees: JSON log lines, one for each request, and metrics.
//!
//! A request's own line is written for [`crate::edge`], from what deeper code has noted in the
//! request's [`Context`](crate::request::Context); on Lambda it has the metrics, too.

mod answered_request;
mod emf;
pub mod metrics;
mod request_line;

use std::{error::Error, panic::PanicHookInfo};

use tracing::Subscriber;
pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::request;

pub use answered_request::AnsweredRequest;
pub use emf::{Detail, Emf, Views};

/// Records that `what` failed and that the request continues without it. Logged at most once for
/// each request.
pub fn degraded(what: &'static str, error: &dyn Error) {
    metrics::degradation(what);
    let known = request::with_notes(|notes| std::mem::replace(&mut notes.degraded, true));
    if known == Some(true) {
        return;
    }
    tracing::warn!(request_id = request::id(), what, error = %describe(error), "degraded");
}

/// Continuing without something that failed.
pub trait OrDegraded<T> {
    /// The value, or `None` after `what` was recorded as [`degraded`].
    fn or_degraded(self, what: &'static str) -> Option<T>;
}

impl<T, E: Error> OrDegraded<T> for Result<T, E> {
    fn or_degraded(self, what: &'static str) -> Option<T> {
        self.inspect_err(|error| degraded(what, error)).ok()
    }
}

/// An error with its causes, on one line.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many libraries repeat their cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Log lines as JSON, to `writer`: what [`init`] starts.
pub fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer)
}

/// Starts logging as `lines`.
///
/// `level` applies to this crate and to `crates`.
/// Libraries log warnings and errors only, whatever the level: at `debug` an HTTP client would
/// print URLs and headers.
///
/// # Errors
/// When logging was started before.
pub fn init(
    level: LevelFilter,
    crates: impl IntoIterator<Item = &'static str>,
    lines: impl Layer<Registry> + Send + Sync,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        // The embedded DynamoDB warns whenever the condition of a write fails, which is normal
        // operation.
        .with_target("dynoxide", LevelFilter::ERROR)
        .with_target("shared", level)
        .with_targets(crates.into_iter().map(|name| (name, level)));
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs where a panic happened. Its text only when that is a literal: a formatted one can contain a
/// secret (the standard library's own can: a failed slice of a string prints it).
fn log_panic(info: &PanicHookInfo<'_>) {
    let text = info
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(formatted text withheld)");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(request_id = request::id(), location, text, "panic");
}
