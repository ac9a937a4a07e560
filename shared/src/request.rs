//! The context of the request at hand: who it is answered for, how long it may take, and what its
//! log line and headers will say.
//!
//! The edge opens a [`Context`] for each request; code below finds it without being handed it,
//! through one task-local value. Outside a request (start-up, unit tests) reads
//! return a default, and notes are dropped.

pub mod deadline;
mod redis_budget;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    task::{JoinError, futures::TaskLocalFuture},
    task_local,
    time::Instant,
};

pub use self::redis_budget::RedisBudget;

task_local! {
    static CURRENT: Current;
}

/// What code that runs for a request can find out about it.
#[derive(Clone, Default)]
pub struct Current {
    context: Option<Context>,
    /// Beside the context, because a part of a request can have a deadline of its own.
    deadline: Option<Instant>,
}

/// Work that runs for a request.
pub type InRequest<F> = TaskLocalFuture<Current, F>;

/// The language that messages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, what most callers read.
    #[default]
    Chinese,
    /// English, when `Accept-Language` prefers it.
    English,
}

/// The rate limits as a client sees them: the values of `RateLimit-Policy` and `RateLimit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitFields {
    /// The policies that apply.
    pub policies: String,
    /// What is left of each.
    pub standings: String,
}

/// One request. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    id: String,
    language: Language,
    notes: Mutex<Notes>,
}

/// What becomes known of a request while it is worked on.
#[derive(Debug, Default)]
pub struct Notes {
    /// The authenticated user.
    pub user_id: Option<String>,
    /// The mini-program that the request is for.
    pub app_id: Option<String>,
    /// The stable reason of a failure.
    pub reason: Option<&'static str>,
    /// Why it failed, for the log only.
    pub cause: Option<String>,
    /// The state of the limits that the request was charged for.
    pub rate_limit: Option<RateLimitFields>,
    /// A store was down and the request was served without it.
    pub degraded: bool,
    /// How long the request has waited for Redis so far.
    pub redis: RedisBudget,
}

impl Context {
    /// The context of the request that the client knows as `id` (`X-Request-Id`).
    #[must_use]
    pub fn new(id: String, language: Language) -> Self {
        Self(Arc::new(Inner {
            id,
            language,
            notes: Mutex::default(),
        }))
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Runs `work` as part of this request, without a deadline.
    pub fn run<F: Future>(&self, work: F) -> InRequest<F> {
        let current = Current {
            context: Some(self.clone()),
            deadline: None,
        };
        CURRENT.scope(current, work)
    }

    /// What was noted. For the end of a request: afterwards nothing is.
    #[must_use]
    pub fn take_notes(&self) -> Notes {
        std::mem::take(&mut self.notes())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes something about the request at hand.
pub fn note(note: impl FnOnce(&mut Notes)) {
    let _ = with_notes(note);
}

/// The id of the request at hand, empty outside a request.
#[must_use]
pub fn id() -> String {
    with_context(|context| context.id().to_owned()).unwrap_or_default()
}

/// The language of the request at hand.
#[must_use]
pub fn language() -> Language {
    with_context(|context| context.0.language).unwrap_or_default()
}

/// Gives the request at hand its whole time for Redis once more: for a request that waits for
/// another one and asks from time to time how far that is.
pub fn renew_redis_budget() {
    note(|notes| notes.redis.renew());
}

/// Runs `work` in a task of its own, which goes on when the request is dropped, as part of the
/// request at hand and under its deadline. Writes that must happen even after the deadline ask for
/// time with [`deadline::at_least`].
///
/// # Errors
/// When `work` panics.
pub async fn run_to_end<F>(work: F) -> Result<F::Output, JoinError>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(CURRENT.scope(current(), work)).await
}

pub(crate) fn with_notes<T>(read: impl FnOnce(&mut Notes) -> T) -> Option<T> {
    with_context(|context| read(&mut context.notes()))
}

fn with_context<T>(read: impl FnOnce(&Context) -> T) -> Option<T> {
    CURRENT
        .try_with(|current| current.context.as_ref().map(read))
        .ok()
        .flatten()
}

fn current() -> Current {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_are_collected_from_every_task_of_the_request() {
        let context = Context::new("r1".into(), Language::English);
        let work = async {
            note(|notes| notes.degraded = true);
            run_to_end(async {
                note(|notes| notes.reason = Some("x"));
                (id(), language())
            })
            .await
            .unwrap()
        };
        assert_eq!(context.run(work).await, ("r1".into(), Language::English));
        let notes = context.take_notes();
        assert!(notes.degraded);
        assert_eq!(notes.reason, Some("x"));
    }

    #[tokio::test]
    async fn outside_a_request_reads_answer_defaults() {
        note(|notes| notes.degraded = true);
        assert_eq!((id(), language()), (String::new(), Language::Chinese));
    }
}
