//! What kinds of events a function can be for.

use axum::{extract::Request, response::Response};
use lambda_runtime::{Context, Diagnostic};
use serde::{Deserialize, Serialize};

use super::{
    event::{self, Event, Format},
    response::EventResponse,
};
use crate::{clock::Clock, edge::Arrival};

/// A kind of events: what makes requests of them, and answers of the responses.
pub trait Events: 'static {
    /// An event. The errors of reading one are logged, so they must not quote it.
    type Event: for<'de> Deserialize<'de> + Send + 'static;
    /// What has to be known of an event to answer it.
    type Form: Send + 'static;
    /// What Lambda is answered.
    type Answer: Serialize + Send + 'static;

    /// The request for an event. It needs an [`Arrival`] as an extension.
    fn request(event: Self::Event, invocation: &Invocation) -> (Self::Form, Request);

    /// The answer that a response is.
    ///
    /// # Errors
    /// [`Failure`], where the invocation is to fail.
    fn answer(
        form: Self::Form,
        response: Response,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Why an invocation fails, for whatever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Lambda's `errorType`.
    pub kind: &'static str,
    /// Lambda's `errorMessage`.
    pub message: &'static str,
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.kind.to_owned(),
            error_message: failure.message.to_owned(),
        }
    }
}

/// What Lambda says of an invocation.
pub struct Invocation(Context);

impl Invocation {
    pub(super) fn new(context: Context) -> Self {
        Self(context)
    }

    /// What the edge has to know of a request: its deadline, and an id that it has anyway or else
    /// Lambda's.
    #[must_use]
    pub fn arrival(&self, request_id: Option<String>) -> Arrival {
        let request_id = request_id.unwrap_or_else(|| self.0.request_id.clone());
        Arrival {
            request_id: Some(request_id),
            deadline: event::deadline(&self.0, &Clock::System),
            ..Arrival::default()
        }
    }
}

/// HTTP events: of API Gateway's APIs and of function URLs.
pub(super) struct HttpEvents;

impl Events for HttpEvents {
    type Event = Event;
    type Form = Format;
    type Answer = EventResponse;

    fn request(event: Event, Invocation(context): &Invocation) -> (Format, Request) {
        event.into_request(context, &Clock::System)
    }

    async fn answer(format: Format, response: Response) -> Result<EventResponse, Failure> {
        Ok(EventResponse::new(format, response).await)
    }
}
