//! Invocations of functions that API Gateway does not call: their events are a stream's, a queue's or a
//! schedule's.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use http::{Method, StatusCode};
use serde_json::{Value, value::RawValue};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::{
    instance::Instance,
    request::{Context, Language, deadline},
    telemetry::AnsweredRequest,
};

/// Reserved for the log line and the answer, behind the deadline of the work.
const MARGIN: Duration = Duration::from_millis(500);
/// The same behind the wait for what outlives the work.
const FREEZE_MARGIN: Duration = Duration::from_millis(100);

/// Handles the events of a function. What it does inherits the invocation's deadline
/// ([`request::deadline`](crate::request::deadline)).
pub trait EventHandler: Send + Sync + 'static {
    /// Handles one event.
    ///
    /// # Errors
    /// [`InvocationError`] for an event of which nothing was handled: its sender sends it again, or
    /// gives it up, as it would after a crash.
    fn handle<'a>(&'a self, event: &'a RawValue)
    -> BoxFuture<'a, Result<Handled, InvocationError>>;
}

/// Builds a function's handler from the parts of its instance.
pub type BuildHandler = fn(&Instance) -> Arc<dyn EventHandler>;

/// What became of an event.
#[derive(Debug)]
pub struct Handled {
    /// What kind of event it was: the `route` of its log line and metrics.
    pub route: &'static str,
    /// What Lambda is answered.
    pub answer: Value,
    /// Whether all of it was handled; else the log line has status 500, as for a request that failed.
    pub is_complete: bool,
}

/// Nothing of an event was handled.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct InvocationError(pub String);

/// An invocation, as the platform describes it.
#[derive(Clone, Copy, Debug)]
pub struct InvocationScope<'a> {
    /// Its id, for log lines.
    pub id: &'a str,
    /// When the platform ends it, if it does.
    pub deadline: Option<Instant>,
}

/// A handler with what surrounds it. Cheap to clone.
#[derive(Clone)]
pub struct Invoker {
    handler: Arc<dyn EventHandler>,
    /// True until the first event.
    is_cold: Arc<AtomicBool>,
}

impl Invoker {
    /// Invokes this handler.
    #[must_use]
    pub fn new(handler: Arc<dyn EventHandler>) -> Self {
        Self {
            handler,
            is_cold: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Handles an event within the invocation's time, and reports it with a log line and metrics.
    ///
    /// # Errors
    /// The handler's; also when it panics.
    pub async fn invoke(
        &self,
        event: &RawValue,
        invocation: InvocationScope<'_>,
    ) -> Result<Value, InvocationError> {
        let start = Instant::now();
        let before = |margin| {
            let end = |deadline: Instant| deadline.checked_sub(margin).unwrap_or(start);
            invocation.deadline.map(end)
        };
        let context = Context::new(invocation.id.to_owned(), Language::English);
        // Inside of the context, because a scope takes over the one that it is made in.
        let work = async {
            let handled = AssertUnwindSafe(self.handler.handle(event)).catch_unwind();
            deadline::scope(before(MARGIN), handled).await
        };
        let handled = context.run(work).await;
        let handled = handled.unwrap_or_else(|_| Err(InvocationError("panic".to_owned())));
        if let Some(end) = before(FREEZE_MARGIN) {
            // What is late is not worth a failed invocation.
            let _ = timeout_at(end, context.finished()).await;
        }
        self.report(&context, &handled, start.elapsed());
        handled.map(|handled| handled.answer)
    }

    fn report(
        &self,
        context: &Context,
        handled: &Result<Handled, InvocationError>,
        latency: Duration,
    ) {
        let mut notes = context.take_notes();
        let (route, is_complete) = match handled {
            Ok(handled) => (Some(handled.route), handled.is_complete),
            Err(error) => {
                notes.cause = Some(error.to_string());
                (None, false)
            }
        };
        let status = if is_complete {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        AnsweredRequest {
            id: context.id(),
            method: &Method::POST,
            route,
            status,
            latency,
            is_cold_start: self.is_cold.swap(false, Ordering::Relaxed),
            notes: &notes,
        }
        .report();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Answers with the time that is left, panics, or fails, as the event says.
    struct Probe;

    impl EventHandler for Probe {
        fn handle<'a>(
            &'a self,
            event: &'a RawValue,
        ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
            async move {
                match event.get() {
                    r#""panic""# => panic!("as told"),
                    r#""fail""# => Err(InvocationError("no".to_owned())),
                    _ => Ok(Handled {
                        route: "probe",
                        answer: json!([
                            crate::request::id(),
                            deadline::remaining().map(|left| left.as_millis())
                        ]),
                        is_complete: true,
                    }),
                }
            }
            .boxed()
        }
    }

    async fn invoke(event: &str, deadline: Option<Duration>) -> Result<Value, String> {
        let event = RawValue::from_string(event.to_owned()).unwrap();
        let invocation = InvocationScope {
            id: "i1",
            deadline: deadline.map(|left| Instant::now() + left),
        };
        let invoker = Invoker::new(Arc::new(Probe));
        let answer = invoker.invoke(&event, invocation).await;
        answer.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_has_the_invocations_id_and_what_is_left_of_its_time() {
        let left = Some(Duration::from_secs(3));
        assert_eq!(invoke("{}", left).await, Ok(json!(["i1", 2500])));
        assert_eq!(invoke("{}", None).await, Ok(json!(["i1", null])));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_its_invocation_only() {
        assert_eq!(invoke(r#""panic""#, None).await, Err("panic".to_owned()));
        assert_eq!(invoke(r#""fail""#, None).await, Err("no".to_owned()));
    }
}
