//! The context of the current request: its id, language and deadline, and the notes for its log
//! line and headers.
//!
//! The edge opens a [`Context`] for each request; code below finds it in one task-local value.
//! Outside a request (start-up, unit tests) there is none: reads return defaults, and notes are
//! discarded.

pub mod deadline;
mod redis_budget;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::Notify,
    task::{JoinError, JoinHandle, futures::TaskLocalFuture},
    task_local,
    time::Instant,
};

pub use self::redis_budget::{Charge, RedisBudget};
use crate::ids::{AppId, UserId};

task_local! {
    static CURRENT: Current;
}

/// The task-local value: the context and the deadline.
#[derive(Clone, Default)]
pub struct Current {
    context: Option<Context>,
    /// Not in the context, because a part of a request can have its own deadline.
    deadline: Option<Instant>,
}

/// A future that runs as part of a request.
pub type InRequest<F> = TaskLocalFuture<Current, F>;

/// The language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese, the language of most users.
    #[default]
    Chinese,
    /// English, when `Accept-Language` prefers it.
    English,
}

/// The values of the `RateLimit-Policy` and `RateLimit` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitFields {
    /// The policies that apply.
    pub policies: String,
    /// The remaining quota of each.
    pub standings: String,
}

/// One request. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    id: String,
    language: Language,
    notes: Mutex<Notes>,
    /// How many tasks of [`run_to_end`] have not ended.
    unfinished: AtomicUsize,
    /// Wakes the task that waits until all of them have ended.
    none_left: Notify,
}

/// The same of all requests of this process.
static UNFINISHED: AtomicUsize = AtomicUsize::new(0);
static NONE_LEFT: Notify = Notify::const_new();

/// One task of [`run_to_end`], counted until it is dropped, by a panic too.
struct Unfinished(Context);

impl Unfinished {
    fn count(context: &Context) -> Self {
        context.0.unfinished.fetch_add(1, Ordering::SeqCst);
        UNFINISHED.fetch_add(1, Ordering::SeqCst);
        Self(context.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let context = &self.0.0;
        if context.unfinished.fetch_sub(1, Ordering::SeqCst) == 1 {
            context.none_left.notify_waiters();
        }
        if UNFINISHED.fetch_sub(1, Ordering::SeqCst) == 1 {
            NONE_LEFT.notify_waiters();
        }
    }
}

/// Facts about a request, collected while it is processed.
#[derive(Debug, Default)]
pub struct Notes {
    /// The authenticated user.
    pub user_id: Option<UserId>,
    /// The mini-program that the request is for.
    pub app_id: Option<AppId>,
    /// The stable reason of a failure.
    pub reason: Option<&'static str>,
    /// Why it failed, for the log only.
    pub cause: Option<String>,
    /// The state of the rate limits that the request was charged to.
    pub rate_limit: Option<RateLimitFields>,
    /// A store was down and the request was served without it.
    pub degraded: bool,
    /// How long the request has waited for Redis so far.
    pub redis: RedisBudget,
}

impl Context {
    /// The context of a request with this id (`X-Request-Id`) and language.
    #[must_use]
    pub fn new(id: String, language: Language) -> Self {
        Self(Arc::new(Inner {
            id,
            language,
            notes: Mutex::default(),
            unfinished: AtomicUsize::default(),
            none_left: Notify::new(),
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

    /// Waits until everything has ended that [`run_to_end`] started for this request.
    pub async fn finished(&self) {
        loop {
            // Notified from here on, even if the last one ends before the await.
            let none_left = self.0.none_left.notified();
            if self.0.unfinished.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }

    /// Takes the notes, at the end of a request; later notes are lost.
    #[must_use]
    pub fn take_notes(&self) -> Notes {
        std::mem::take(&mut self.notes())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the notes of the current request.
pub fn note(note: impl FnOnce(&mut Notes)) {
    let _ = with_notes(note);
}

/// The id of the current request, empty outside a request.
#[must_use]
pub fn id() -> String {
    with_context(|context| context.id().to_owned()).unwrap_or_default()
}

/// The language of the current request.
#[must_use]
pub fn language() -> Language {
    with_context(|context| context.0.language).unwrap_or_default()
}

/// Resets the current request's Redis budget: for a request that waits for another one and polls
/// its outcome.
pub fn renew_redis_budget() {
    note(|notes| notes.redis.renew());
}

/// Runs `work` in its own task, which continues when the request is dropped, with the context and
/// deadline of the current request. Writes that must happen even after the deadline extend it with
/// [`deadline::at_least`].
///
/// Where an answer freezes the process (Lambda), the edge holds the answer back until the work has
/// ended, as long as the platform allows: see [`Context::finished`].
///
/// # Errors
/// When `work` panics.
pub async fn run_to_end<F>(work: F) -> Result<F::Output, JoinError>
where
    F: Future<Output: Send> + Send + 'static,
{
    start(work).await
}

/// The same without waiting for its end.
pub fn start<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let unfinished = with_context(Unfinished::count);
    let work = CURRENT.scope(current(), work);
    let counted = async move {
        let _unfinished = unfinished;
        work.await
    };
    tokio::spawn(counted)
}

/// Waits until everything has ended that [`start`] or [`run_to_end`] started for any request: before
/// a process ends that answers do not freeze.
pub async fn all_finished() {
    loop {
        // Notified from here on, even if the last one ends before the await.
        let none_left = NONE_LEFT.notified();
        if UNFINISHED.load(Ordering::SeqCst) == 0 {
            return;
        }
        none_left.await;
    }
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
    use std::time::Duration;

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

    #[tokio::test(start_paused = true)]
    async fn a_request_has_finished_when_its_tasks_have() {
        let context = Context::new("r1".into(), Language::English);
        let second = Duration::from_secs(1);
        let work = |time| async move { tokio::time::sleep(time).await };
        let request = async {
            // Dropped while they run, as by a deadline.
            tokio::select! {
                biased;
                _ = run_to_end(work(3 * second)) => {}
                _ = run_to_end(work(2 * second)) => {}
                () = work(second) => {}
            }
            let _ = run_to_end(async { panic!("counted as ended") }).await;
        };
        let start = Instant::now();
        context.run(request).await;
        assert_eq!(start.elapsed(), second);
        context.finished().await;
        assert_eq!(start.elapsed(), 3 * second);
        context.finished().await;
    }

    #[tokio::test]
    async fn outside_a_request_reads_return_defaults() {
        note(|notes| notes.degraded = true);
        assert_eq!((id(), language()), (String::new(), Language::Chinese));
    }
}
