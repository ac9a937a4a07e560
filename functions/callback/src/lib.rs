//! `GET` and `POST /api/v1/wechat/callback`: messages and events that WeChat pushes.
//!
//! To handle more messages, add a [`Handler`] in `handlers.rs`.

mod announcement;
mod cipher;
mod claims;
mod handler;
mod handlers;
mod inbox;
#[cfg(feature = "openapi")]
mod openapi;
pub mod push;
mod rejection;
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
    claims::{Binding, ClaimOutcome},
    edge::{ClientAddress, Routes},
    instance::Instance,
    random::Random,
    request::deadline,
    resilience::{AddressCost, Limiter},
};
use tokio::time::{Instant, timeout_at};

use announcement::Announcement;
pub use cipher::{Opened, PushError, PushSecrets, Sealed, Stamp};
use claims::{MessageClaims, PushOutcome};
pub use handler::{Handled, Handler, Reply};
use inbox::{Inbox, PushQuery, Received};
#[cfg(feature = "openapi")]
pub use openapi::operations;
use rejection::{NotHandled, PushRejection};
pub use settings::{DOCUMENTED, LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN, MESSAGE_PUSH, push_key};

/// WeChat gives up after 5 s and repeats the message.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Time to store the outcome, even after handlers that took all of theirs.
const FINISH: Duration = Duration::from_millis(200);

struct Callback {
    inbox: Inbox,
    claims: MessageClaims,
    handlers: Vec<Box<dyn Handler>>,
    announcement: Announcement,
    random: Random,
    limiter: Limiter,
    /// What a request costs its address that no mini-program's token signed.
    unsigned: Option<AddressCost>,
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
        announcement: Announcement::new(instance),
        random: instance.random(),
        limiter: instance.limiter(),
        unsigned: instance.limits().guest,
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

/// WeChat verifies that this URL knows the token. It expects `echostr` as the whole body. Where a
/// signature is a message's only protection, this one protects none: it came with no message, and
/// an eavesdropper could add one. So the request fails while nobody can tell whether it was used.
async fn verify(
    State(callback): State<Arc<Callback>>,
    query: Result<Query<Verification>, QueryRejection>,
) -> Result<String, ApiError> {
    let Query(Verification { query, echostr }) = query.map_err(|error| invalid_query(&error))?;
    if callback.inbox.verify(&query)? {
        let binding = callback.claims.use_up_signature(&query.signature).await;
        check_binding(binding, true)?;
    }
    Ok(echostr)
}

async fn receive(
    State(callback): State<Arc<Callback>>,
    ClientAddress(address): ClientAddress,
    query: Result<Query<PushQuery>, QueryRejection>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| invalid_query(&error))?;
    if !callback.inbox.is_signed(&query) {
        // WeChat never pays. Others do before their body is parsed and decrypted.
        let cost = callback.unsigned;
        callback.limiter.charge_address(address, cost).await?;
    }
    let received = callback.inbox.open(&query, &body)?;
    // The calls of handlers inherit this deadline.
    let end = Instant::now() + deadline::cap(ANSWER_WITHIN);
    let handled = callback.handle_once(&received, &query, end);
    let reply = deadline::scope(Some(end), handled).await?;
    callback.respond(&received, reply)
}

/// A parameter is missing or repeated; the texts name it.
fn invalid_query(error: &QueryRejection) -> ApiError {
    ApiError::new(Reason::InvalidRequest).because(error)
}

impl Callback {
    /// Handles the message, unless another delivery of it was handled or is being handled.
    async fn handle_once(&self, received: &Received, query: &PushQuery, end: Instant) -> Handled {
        let id = received.push.id();
        if !received.encrypted {
            let binding = self.claims.bind_signature(&query.signature, &id).await;
            check_binding(binding, received.push.event.deletes())?;
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

    /// Calls all handlers, one after the other, whatever becomes of the others; then receivers of webhooks
    /// are told. The first reply is sent. After an error WeChat repeats the message.
    async fn handle(&self, received: &Received) -> Handled {
        let push = &received.push;
        let event = self.announcement.event_of(push).await;
        let mut outcome: Handled = Ok(None);
        for handler in &self.handlers {
            outcome = both(outcome, handler.handle(push).await);
        }
        let announced = match event {
            Ok(Some(event)) => self.announcement.announce(event).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        both(outcome, announced.map(|()| None))
    }

    fn respond(&self, received: &Received, reply: Option<Reply>) -> Result<Response, ApiError> {
        match reply {
            Some(reply) => self.inbox.seal(received, &reply, &self.random),
            None => Ok("success".into_response()),
        }
    }
}

/// The first error of two handlers, or the first reply.
fn both(first: Handled, second: Handled) -> Handled {
    let reply = first?;
    Ok(reply.or(second?))
}

/// Whether a request that only its signature protects may be handled. While shared state is down, a
/// deletion waits for WeChat's next attempt, and a URL verification for the operator's
/// (`everywhere`: the signature must be unused at all instances). Other messages may be handled:
/// their handlers delete nothing, and WeChat would give up before long.
fn check_binding(binding: Binding, everywhere: bool) -> Result<(), ApiError> {
    match binding {
        Binding::Taken => Err(PushRejection::SignatureUsed.into()),
        Binding::InThisInstance if everywhere => Err(NotHandled::UnverifiedFirstUse.into()),
        Binding::Bound | Binding::InThisInstance => Ok(()),
    }
}
