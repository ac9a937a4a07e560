//! Message push: delivers the simulated WeChat's requests to the callback function in this process.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, header::CONTENT_TYPE},
};
use callback::MESSAGE_PUSH;
use shared::config::Env;
use tower::ServiceExt;
use wechat_simulator::{MediaReader, PushConfig, PushRequest, PushResponse, PushTransport};

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

/// How long reading a picture may take, and how large it may be.
const READING: Duration = Duration::from_secs(10);
const MAX_PICTURE: u64 = 10 * 1024 * 1024;

/// Reads pictures over HTTP, as WeChat does that is asked to check them.
pub(crate) fn media_reader() -> MediaReader {
    Arc::new(|url| {
        Box::pin(async move {
            let read = read(&url).await;
            read.inspect_err(|error| {
                tracing::warn!(%error, "the simulated WeChat can't read a picture that it is asked to check");
            })
            .ok()
        })
    })
}

async fn read(url: &str) -> Result<Vec<u8>, String> {
    // An error says that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(READING);
    let client = client.build().map_err(|error| error.to_string())?;
    let response = client.get(url).send().await;
    // Without the URL, which is signed.
    let response = response.map_err(|error| error.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    if response
        .content_length()
        .is_some_and(|length| length > MAX_PICTURE)
    {
        return Err("it is too large".to_owned());
    }
    let content = response.bytes().await;
    let content = content.map_err(|error| error.without_url().to_string())?;
    Ok(content.into())
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
