//! `GET` and `POST /api/v1/wechat/callback`: messages and events that WeChat pushes.
//!
//! To handle more messages, add a [`Handler`] in `handlers.rs`.

mod cipher;
mod claims;
mod handler;
mod handlers;
mod inbox;
pub mod push;
mod response;
mod settings;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use shared::{
    api::{ApiError, Raw, Reason},
    claims::ClaimOutcome,
    edge::Routes,
    instance::Instance,
    random::Random,
    request::{self, deadline},
};
use tokio::time::{Instant, timeout_at};

pub use cipher::{Opened, PushError, PushSecrets, Sealed, Stamp};
use claims::{MessageClaims, PushOutcome};
pub use handler::{Handled, Handler, Reply};
use inbox::{Inbox, PushQuery, Received};
pub use settings::{DOCUMENTED, LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN, MESSAGE_PUSH, push_key};

/// WeChat gives up after 5 s and repeats the message.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Time to store the outcome, even after handlers that took all of theirs.
const FINISH: Duration = Duration::from_millis(200);

struct Callback {
    inbox: Inbox,
    claims: MessageClaims,
    handlers: Vec<Box<dyn Handler>>,
    random: Random,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    routes_with(instance, handlers::all(instance))
}

/// The same with these handlers only.
pub fn routes_with(instance: &Instance, handlers: Vec<Box<dyn Handler>>) -> Routes {
    let inbox = Inbox::new(instance);
    let claims = MessageClaims::new(instance, inbox.max_age());
    let callback = Callback {
        inbox,
        claims,
        handlers,
        random: instance.random(),
    };
    Routes::new()
        .route("/api/v1/wechat/callback", get(verify).post(receive))
        .with_state(Arc::new(callback))
}

#[derive(Deserialize)]
struct Verification {
    #[serde(flatten)]
    query: PushQuery,
    echostr: String,
}

/// WeChat verifies that this URL knows the token. It expects `echostr` as the whole body.
async fn verify(
    State(callback): State<Arc<Callback>>,
    query: Result<Query<Verification>, QueryRejection>,
) -> Result<String, ApiError> {
    let Query(Verification { query, echostr }) = query.map_err(|_| Reason::InvalidRequest)?;
    callback.inbox.verify(&query)?;
    Ok(echostr)
}

async fn receive(
    State(callback): State<Arc<Callback>>,
    query: Result<Query<PushQuery>, QueryRejection>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|_| Reason::InvalidRequest)?;
    let received = callback.inbox.open(&query, &body)?;
    request::note(|notes| notes.app_id = Some(received.push.app_id.to_string()));
    // The calls of handlers inherit this deadline.
    let end = Instant::now() + deadline::cap(ANSWER_WITHIN);
    let handled = callback.handle_once(&received, &query, end);
    let reply = deadline::scope(Some(end), handled).await?;
    callback.respond(&received, reply)
}

impl Callback {
    /// Handles the message, unless another delivery of it was handled or is being handled.
    async fn handle_once(&self, received: &Received, query: &PushQuery, end: Instant) -> Handled {
        let id = received.push.id();
        if !received.encrypted && !self.claims.is_only_message_of(&query.signature, &id).await {
            return Err(inbox::PushRejection::SignatureUsed.into());
        }
        let claim = match self.claims.claim_or_wait(&id).await {
            ClaimOutcome::Claimed(claim) => claim,
            ClaimOutcome::Completed(PushOutcome::Done(reply)) => return Ok(reply),
            // The other delivery has not finished and may still fail, so WeChat should repeat it.
            ClaimOutcome::InProgress => return Err(Reason::Unavailable.into()),
        };
        let outcome = timeout_at(end, self.handle(received))
            .await
            .unwrap_or_else(|_| Err(Reason::UpstreamTimeout.into()));
        let finish = async {
            match &outcome {
                Ok(reply) => claim.complete(&PushOutcome::Done(reply.clone())).await,
                Err(_) => claim.release().await,
            }
        };
        deadline::at_least(FINISH, finish).await;
        outcome
    }

    /// Calls all handlers, one after the other; the first reply is sent.
    async fn handle(&self, received: &Received) -> Handled {
        let mut first_reply = None;
        for handler in &self.handlers {
            let reply = handler.handle(&received.push).await?;
            first_reply = first_reply.or(reply);
        }
        Ok(first_reply)
    }

    fn respond(&self, received: &Received, reply: Option<Reply>) -> Result<Response, ApiError> {
        match reply {
            Some(reply) => self.inbox.seal(received, &reply, &self.random),
            None => Ok("success".into_response()),
        }
    }
}
