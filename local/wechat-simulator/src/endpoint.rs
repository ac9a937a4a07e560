//! WeChat's paths, and what every call to one passes: it is counted, may meet a fault, and is
//! answered.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http::{Method, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::errcode::{self, Refusal};
use crate::faults::Fault;
use crate::world::World;
use crate::{Simulator, cgi_bin, phone, sec_check, session_keys, sns};

/// What an endpoint makes of a call. Endpoints are plain functions on the state.
pub(crate) type Outcome = Result<Value, Refusal>;

pub(crate) struct Endpoint {
    pub(crate) path: &'static str,
    pub(crate) run: fn(&mut World, &Call) -> Outcome,
}

/// Every path that is simulated.
pub(crate) static ENDPOINTS: [Endpoint; 8] = [
    Endpoint {
        path: "/sns/jscode2session",
        run: sns::code_to_session,
    },
    Endpoint {
        path: "/cgi-bin/stable_token",
        run: cgi_bin::stable_token,
    },
    Endpoint {
        path: "/cgi-bin/token",
        run: cgi_bin::token,
    },
    Endpoint {
        path: "/wxa/business/getuserphonenumber",
        run: phone::phone_number,
    },
    Endpoint {
        path: "/wxa/checksession",
        run: session_keys::check,
    },
    Endpoint {
        path: "/wxa/resetusersessionkey",
        run: session_keys::reset,
    },
    Endpoint {
        path: "/wxa/business/getuserencryptkey",
        run: session_keys::encrypt_keys,
    },
    Endpoint {
        path: "/wxa/msg_sec_check",
        run: sec_check::check,
    },
];

/// A request as the endpoints see it.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: Bytes,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
}

impl Call {
    /// A query parameter, empty when it is not there: WeChat makes no difference.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn require_get(&self) -> Result<(), Refusal> {
        if self.method == Method::GET {
            Ok(())
        } else {
            Err(errcode::GET_REQUIRED)
        }
    }

    pub(crate) fn require_post(&self) -> Result<(), Refusal> {
        if self.method == Method::POST {
            Ok(())
        } else {
            Err(errcode::POST_REQUIRED)
        }
    }

    /// The body as JSON. WeChat looks at no content type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if self.body.is_empty() {
            return Err(errcode::EMPTY_POST_DATA);
        }
        serde_json::from_slice(&self.body).map_err(|_| errcode::DATA_FORMAT)
    }

    /// The app whose access token the call carries.
    pub(crate) fn app_id(&self, world: &World) -> Result<String, Refusal> {
        world
            .access_tokens
            .check(self.param("access_token"), self.now)
    }
}

pub(crate) fn router(simulator: &Simulator) -> Router {
    let mut router = Router::new();
    for endpoint in &ENDPOINTS {
        let handler = move |State(simulator): State<Simulator>, method, uri, body| async move {
            serve(&simulator, endpoint, method, &uri, body).await
        };
        router = router.route(endpoint.path, any(handler));
    }
    router.fallback(unknown_path).with_state(simulator.clone())
}

async fn serve(
    simulator: &Simulator,
    endpoint: &'static Endpoint,
    method: Method,
    uri: &Uri,
    body: Bytes,
) -> Response {
    let query = Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let (answer, fault) = simulator.with(|world, now| {
        world.calls.count(endpoint.path);
        let call = Call {
            method,
            query,
            body,
            now,
        };
        answer(world, endpoint, &call)
    });
    match fault {
        Some(fault) => fault.deliver(answer).await,
        None => answer.into(),
    }
}

/// A fault that answers in WeChat's place keeps the call from having any effect. All others let it
/// have its effect and spoil the way back: the harder case for a client, which then can't know.
fn answer(world: &mut World, endpoint: &'static Endpoint, call: &Call) -> (Answer, Option<Fault>) {
    let fault = world.faults.take(endpoint.path);
    let outcome = match fault.as_ref().and_then(Fault::refusal) {
        Some(refusal) => Err(refusal),
        None if fault.as_ref().is_some_and(|fault| fault.status.is_some()) => Ok(Value::Null),
        None => (endpoint.run)(world, call),
    };
    (
        answer::render(endpoint.path, outcome, &mut world.rng, call.now),
        fault,
    )
}

async fn unknown_path(State(simulator): State<Simulator>, uri: Uri) -> Response {
    simulator
        .with(|world, now| {
            answer::render(uri.path(), Err(errcode::INVALID_URL), &mut world.rng, now)
        })
        .into()
}
