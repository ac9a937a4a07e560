//! A server that speaks HTTP.

use std::time::Duration;

use reqwest::{Client, Method, Response};

use super::calls::{Call, Reply, Target};

/// After this long a request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The bytes of `HTTP/1.1 200 OK` with its line end, and of the empty line.
const FRAME_BYTES: usize = 19;

/// A server at a URL.
#[derive(Debug)]
pub struct Remote {
    base: String,
    client: Client,
}

impl Remote {
    /// Connections are kept, as many as there are requests at once.
    pub fn new(base: &str) -> Self {
        e2e::http::install_tls();
        let client = Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .tcp_nodelay(true);
        Self {
            base: base.to_owned(),
            client: client.build().expect("a client"),
        }
    }

    async fn exchange(&self, call: Call) -> reqwest::Result<Reply> {
        let method = Method::from_bytes(call.method.as_bytes()).expect("a method");
        let url = format!("{}{}", self.base, call.path);
        let mut request = self.client.request(method, url);
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = call.body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), header_bytes(&response));
        Ok(Reply::read(status, headers, &response.bytes().await?))
    }
}

impl Target for Remote {
    async fn send(&self, call: Call) -> Reply {
        self.exchange(call).await.unwrap_or_else(|error| {
            Reply::none(if error.is_timeout() {
                "no answer in 10 s"
            } else if error.is_connect() {
                "no connection"
            } else {
                "connection lost"
            })
        })
    }
}

fn header_bytes(response: &Response) -> usize {
    let lines = response.headers().iter();
    let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    FRAME_BYTES + lines.sum::<usize>()
}
