//! The body of a request: how long it may take, and what happens to what nobody read.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::BoxError;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use shared::api::BodyTimedOut;
use tokio::time::{Sleep, sleep, timeout};

use super::phase::{Phase, SharedPhase};

/// How much of an unread body is read, in bytes: more than any that the app accepts.
const SMALL: u64 = 128 * 1024;

/// A body that its client has to send in time. What is left of it when it is dropped stays in
/// its [`Rest`].
pub(super) struct TimedBody {
    incoming: Option<Incoming>,
    time: Pin<Box<Sleep>>,
    phase: SharedPhase,
    rest: Rest,
}

/// What the app did not read of a body.
#[derive(Clone, Default)]
pub(super) struct Rest(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Whether the app asked for the body at all.
    was_read: bool,
    incoming: Option<Incoming>,
}

impl TimedBody {
    pub(super) fn new(incoming: Incoming, time: Duration, phase: SharedPhase, rest: Rest) -> Self {
        Self {
            incoming: Some(incoming),
            time: Box::pin(sleep(time)),
            phase,
            rest,
        }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.rest.lock().was_read = true;
        let Some(incoming) = self.incoming.as_mut() else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.phase.set(Phase::Serving);
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Poll::Pending if self.time.as_mut().poll(context).is_ready() => {
                self.phase.set(Phase::Serving);
                Poll::Ready(Some(Err(BodyTimedOut.into())))
            }
            Poll::Pending => {
                self.phase.awaits_body();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        self.rest.lock().incoming = self.incoming.take();
    }
}

impl Rest {
    /// Reads what is left, if that is small and comes soon, so that the connection can carry another
    /// request. `awaits_100`: the client waits to be asked for the body, and need not be.
    pub(super) async fn discard(self, awaits_100: bool, time: Duration) -> bool {
        let (was_read, incoming) = {
            let mut state = self.lock();
            (state.was_read, state.incoming.take())
        };
        // The app still has it.
        let Some(incoming) = incoming else {
            return false;
        };
        if incoming.is_end_stream() {
            return true;
        }
        if (awaits_100 && !was_read) || incoming.size_hint().lower() > SMALL {
            return false;
        }
        timeout(time, read_small(incoming)).await.unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the body ended before it was too much.
async fn read_small(mut incoming: Incoming) -> bool {
    let mut left = SMALL;
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(u64::try_from(length).unwrap_or(u64::MAX)) {
            Some(less) => left = less,
            None => return false,
        }
    }
    true
}
