//! Message push: delivers the simulated WeChat's requests to the callback function in this process.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header::CONTENT_TYPE},
};
use callback::MESSAGE_PUSH;
use shared::config::Env;
use tower::ServiceExt;
use wechat_simulator::{PushConfig, PushRequest, PushResponse, PushTransport};

const CALLBACK: &str = "/api/v1/wechat/callback";
/// In bytes; more than any response of the callback has.
const MAX_RESPONSE: usize = 1024 * 1024;

/// The simulator's push settings: those of the functions, from `MESSAGE_PUSH`.
pub(crate) fn configs(env: &Env) -> impl Iterator<Item = PushConfig> {
    MESSAGE_PUSH.entries(env).filter_map(|entry| {
        let mut parts = entry.splitn(3, ':').map(str::to_owned);
        Some(PushConfig {
            app_id: parts.next()?,
            token: parts.next()?,
            encoding_aes_key: parts.next(),
        })
    })
}

/// Passes requests to `app` without a socket.
pub(crate) fn transport(app: Router) -> PushTransport {
    Arc::new(move |request| Box::pin(deliver(app.clone(), request)))
}

async fn deliver(app: Router, push: PushRequest) -> PushResponse {
    let request = Request::builder()
        .method(push.method)
        .uri(format!("{CALLBACK}?{}", push.query));
    let request = request
        .header(CONTENT_TYPE, push.content_type)
        .body(Body::from(push.body));
    let Ok(request) = request else {
        return not_delivered("the request is invalid");
    };
    let Ok(response) = app.oneshot(request).await;
    let status = response.status().as_u16();
    match to_bytes(response.into_body(), MAX_RESPONSE).await {
        Ok(body) => PushResponse {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        },
        Err(error) => not_delivered(&error.to_string()),
    }
}

fn not_delivered(reason: &str) -> PushResponse {
    PushResponse {
        status: 0,
        body: reason.to_owned(),
    }
}
