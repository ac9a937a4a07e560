//! What an operator sees: JSON log lines, one of them per request.
//!
//! A request's own line is written by [`crate::edge`]; what deeper code has to add to it (who
//! called, that something was degraded, why it failed) it notes in the request's [`Scope`].

mod emf;
pub mod metrics;
mod waiting;

use std::{cell::RefCell, future::Future, panic::PanicHookInfo, time::Duration};

use tokio::{task::JoinError, task_local};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::deadline;

pub use emf::Emf;
pub use waiting::Waiting;

task_local! {
    static SCOPE: RefCell<Scope>;
}

/// The language that messages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, what most callers read.
    #[default]
    Chinese,
    /// English, when `Accept-Language` prefers it.
    English,
}

/// What a client is told of its rate limits: the values of `RateLimit-Policy` and `RateLimit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitFields {
    /// What holds.
    pub policies: String,
    /// What is left.
    pub standings: String,
}

/// What is known of the request at hand.
#[derive(Debug, Default)]
pub struct Scope {
    /// The id that the client was given as `X-Request-Id`.
    pub request_id: String,
    /// The language of the messages.
    pub language: Language,
    /// The signed-in user.
    pub user_id: Option<String>,
    /// The mini-program that the request is for.
    pub app_id: Option<String>,
    /// The stable reason of a failure.
    pub reason: Option<&'static str>,
    /// Why it failed, for the log only.
    pub cause: Option<String>,
    /// How the limits that the request was charged for stand.
    pub rate_limit: Option<RateLimitFields>,
    /// A store was down and the request was served without it.
    pub degraded: bool,
    /// How long the request has waited for Redis so far.
    pub redis: Waiting,
}

impl Scope {
    /// Runs `request` with a scope of its own and returns the scope with the answer.
    pub async fn enter<F: Future>(self, request: F) -> (Self, F::Output) {
        SCOPE
            .scope(RefCell::new(self), async {
                let output = request.await;
                (SCOPE.with(RefCell::take), output)
            })
            .await
    }

    /// Runs `work` in a task of its own, which goes on when the request is dropped, under the id,
    /// the language and the deadline of the request at hand. What has to be written even after the
    /// deadline asks for [`deadline::at_least`] so much time.
    ///
    /// # Errors
    /// When `work` panics.
    pub async fn run_to_end<F>(work: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let inherited = SCOPE.try_with(|scope| {
            let scope = scope.borrow();
            Self {
                request_id: scope.request_id.clone(),
                language: scope.language,
                degraded: scope.degraded,
                redis: scope.redis.inherited(),
                ..Self::default()
            }
        });
        let (scope, output) = tokio::spawn(deadline::scope(
            deadline::current(),
            inherited.unwrap_or_default().enter(work),
        ))
        .await?;
        Self::note(|request| {
            request.degraded |= scope.degraded;
            request.redis = scope.redis;
        });
        Ok(output)
    }

    /// Notes something about the request at hand; outside a request it does nothing.
    pub fn note(note: impl FnOnce(&mut Self)) {
        // `try_with` fails only outside a request (start-up, unit tests), where there is no line to
        // add to.
        let _ = SCOPE.try_with(|scope| note(&mut scope.borrow_mut()));
    }

    /// The language of the request at hand.
    #[must_use]
    pub fn language() -> Language {
        SCOPE
            .try_with(|scope| scope.borrow().language)
            .unwrap_or_default()
    }

    /// What the request at hand has used of its time for Redis; outside a request, nothing.
    pub(crate) fn redis_spent() -> Duration {
        SCOPE
            .try_with(|scope| scope.borrow().redis.spent())
            .unwrap_or_default()
    }

    /// Gives the request at hand its whole time for Redis once more: for one that waits for another
    /// request and looks there from time to time how far that is.
    pub fn renew_redis_budget() {
        Self::note(|scope| scope.redis.renew());
    }

    /// The id of the request at hand, empty outside a request.
    #[must_use]
    pub fn request_id() -> String {
        SCOPE
            .try_with(|scope| scope.borrow().request_id.clone())
            .unwrap_or_default()
    }
}

/// Notes that `what` did not answer and that the request goes on without it. Logged once for each
/// request.
pub fn degraded(what: &'static str, error: &dyn std::error::Error) {
    metrics::degradation(what);
    let mut known = false;
    Scope::note(|scope| known = std::mem::replace(&mut scope.degraded, true));
    if known {
        return;
    }
    tracing::warn!(request_id = Scope::request_id(), what, error = %describe(error), "degraded");
}

/// An error with its causes, on one line.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
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

/// Starts logging as JSON lines to `writer`.
///
/// `level` (`error`, `warn`, `info`, `debug` or `trace`) is for the common crate and for `crates`.
/// Libraries may only warn, whatever it is: at `debug` an HTTP client would print URLs and headers.
///
/// # Errors
/// When `level` is none, or logging was started before.
pub fn init<W>(
    level: &str,
    crates: impl IntoIterator<Item = &'static str>,
    writer: W,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level: LevelFilter = level.parse()?;
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        // The embedded DynamoDB warns of every condition that a write rightly fails.
        .with_target("dynoxide", LevelFilter::ERROR)
        .with_target("shared", level)
        .with_targets(crates.into_iter().map(|name| (name, level)));
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    tracing_subscriber::registry()
        .with(lines.with_writer(writer))
        .with(targets)
        .try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs where a panic happened. Its text only when that is a literal: a formatted one can hold a
/// secret (the standard library's own do: a failed slice prints the string).
fn log_panic(info: &PanicHookInfo<'_>) {
    let text = info
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(formatted text withheld)");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(request_id = Scope::request_id(), location, text, "panic");
}
