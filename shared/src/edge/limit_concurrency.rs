//! Load shedding: a request above the limit is rejected at once, so that the others are still
//! answered in time.
//!
//! The limit is one on work. A request that waits for its client, because its body has not come,
//! gives its permit back for that time: otherwise a few hundred bodies that drip would keep
//! everybody else out.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
};
use hyper::body::{Frame, SizeHint};

use crate::resilience::bulkhead::{AtCapacity, Bulkhead, OwnedPermit};

/// The route of load balancers' health checks. Without a query it does no I/O.
const HEALTH: &str = "/health";

/// The permit of a request, until it is dropped.
#[expect(dead_code, reason = "held for its drop")]
pub(super) enum Admitted {
    /// None is needed.
    Health,
    /// The body is there.
    Complete(OwnedPermit),
    /// The body may have to be waited for.
    Awaiting(Arc<Place>),
}

/// Admits the request while there is capacity. Health checks are always answered: a load balancer
/// that removes a busy instance makes the others busier.
pub(super) fn admit(
    requests: &Arc<Bulkhead>,
    request: &mut Request,
) -> Result<Admitted, AtCapacity> {
    let is_health = request.uri().path() == HEALTH && request.uri().query().is_none();
    if is_health {
        return Ok(Admitted::Health);
    }
    if request.body().is_end_stream() {
        return requests.acquire_owned().map(Admitted::Complete);
    }
    let place = Arc::new(Place::take(Arc::clone(requests))?);
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(AwaitedBody {
        body,
        place: Arc::clone(&place),
    });
    Ok(Admitted::Awaiting(place))
}

/// A request's permit, while it has it.
pub(super) struct Place {
    requests: Arc<Bulkhead>,
    permit: Mutex<Option<OwnedPermit>>,
}

impl Place {
    fn take(requests: Arc<Bulkhead>) -> Result<Self, AtCapacity> {
        let permit = Mutex::new(Some(requests.acquire_owned()?));
        Ok(Self { requests, permit })
    }

    fn leave(&self) {
        self.permit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn return_to(&self) -> Result<(), AtCapacity> {
        let mut permit = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        if permit.is_none() {
            *permit = Some(self.requests.acquire_owned()?);
        }
        Ok(())
    }
}

/// A body that gives its request's permit back while it waits. When there is none left afterwards,
/// reading it fails with [`AtCapacity`].
struct AwaitedBody {
    body: Body,
    place: Arc<Place>,
}

impl HttpBody for AwaitedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        if poll.is_pending() {
            self.place.leave();
        }
        let frame = ready!(poll);
        if let Err(error) = self.place.return_to() {
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::into_inner)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
