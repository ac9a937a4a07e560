//! Message push: what the simulated WeChat pushes reaches the callback in this process.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header::CONTENT_TYPE},
};
use shared::config::Env;
use tower::ServiceExt;
use wechat_simulator::{PushConfig, PushRequest, PushResponse, PushTransport};

const CALLBACK: &str = "/api/v1/wechat/callback";
/// More than any answer has.
const MAX_ANSWER: usize = 1024 * 1024;

/// What the simulator's consoles hold: the same as the functions are told.
pub(crate) fn configs(env: &Env) -> impl Iterator<Item = PushConfig> {
    env.list("MESSAGE_PUSH").filter_map(|entry| {
        let mut parts = entry.splitn(3, ':').map(str::to_owned);
        Some(PushConfig {
            app_id: parts.next()?,
            token: parts.next()?,
            encoding_aes_key: parts.next(),
        })
    })
}

/// Hands requests to `app` as if they had come over HTTP.
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
        return not_delivered("the request can't be written");
    };
    let Ok(response) = app.oneshot(request).await;
    let status = response.status().as_u16();
    match to_bytes(response.into_body(), MAX_ANSWER).await {
        Ok(answer) => PushResponse {
            status,
            answer: String::from_utf8_lossy(&answer).into_owned(),
        },
        Err(error) => not_delivered(&error.to_string()),
    }
}

fn not_delivered(why: &str) -> PushResponse {
    PushResponse {
        status: 0,
        answer: why.to_owned(),
    }
}
