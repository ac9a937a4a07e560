//! Stops a process at one of its writes.

use std::{
    future::IntoFuture,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
    serve,
};
use e2e::{dynamodb::TABLE, http::install_tls};
use tokio::{net::TcpListener, sync::Notify};

use crate::harness::LambdaHarness;

/// In front of the table, or of a queue: forwards writes until one is to be the last, which it carries out or not,
/// and never answers.
#[derive(Clone)]
pub struct Writes {
    target: String,
    client: reqwest::Client,
    /// How many more writes are forwarded and answered.
    left: Arc<Mutex<usize>>,
    /// Whether the one after them is carried out.
    carried_out: bool,
    pub stuck: Arc<Notify>,
}

impl Writes {
    pub async fn start(target: String, left: usize, carried_out: bool) -> (Self, String) {
        install_tls();
        let writes = Self {
            target,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            left: Arc::new(Mutex::new(left)),
            carried_out,
            stuck: Arc::default(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(forward).with_state(writes.clone());
        tokio::spawn(serve(listener, router).into_future());
        (writes, url)
    }

    /// With the headers as they came: the signature is over some of them, and over the path.
    async fn send(&self, path: &str, headers: &HeaderMap, body: Bytes) -> Response {
        let request = self.client.post(format!("{}{path}", self.target));
        let mut headers = headers.clone();
        headers.remove(CONTENT_LENGTH);
        let answer = request.headers(headers).body(body).send().await.unwrap();
        let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
        (status, answer.bytes().await.unwrap()).into_response()
    }
}

async fn forward(
    State(writes): State<Writes>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    let target = headers["x-amz-target"].to_str().unwrap();
    let is_write = !target.ends_with(".GetItem") && !target.ends_with(".Query");
    if is_write {
        let is_last = {
            let mut left = writes.left.lock().unwrap();
            let is_last = *left == 0;
            *left = left.saturating_sub(1);
            is_last
        };
        if is_last {
            if writes.carried_out {
                writes.send(path, &headers, body.clone()).await;
            }
            writes.stuck.notify_one();
            std::future::pending::<()>().await;
        }
    }
    writes.send(path, &headers, body).await
}

/// As if the time had passed for which a process has a saga that it moves on.
pub async fn end_leases(harness: &LambdaHarness) {
    for saga in harness.table.items_under("SAGA#").await {
        let update = harness.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", saga["pk"].clone())
            .key("sk", saga["sk"].clone())
            .update_expression("REMOVE leaseUntil");
        update.send().await.unwrap();
    }
}
