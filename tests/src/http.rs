//! Requests over HTTP, and the envelope's promises as assertions.

use std::sync::Once;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

use crate::{PATIENCE, conformance};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    inner: reqwest::Client,
}

/// A request being made.
#[derive(Debug)]
pub struct Request(reqwest::RequestBuilder);

/// A response whose body is an envelope. Creating one checks what must hold for every response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: HeaderMap,
    /// The whole envelope.
    pub body: Value,
}

impl Client {
    /// A client of `base`, e.g. `http://127.0.0.1:9000`.
    pub fn new(base: &str) -> Self {
        install_tls();
        let inner = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            base: base.trim_end_matches('/').to_owned(),
            inner,
        }
    }

    /// Any request.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Request(self.inner.request(method, format!("{}{path}", self.base)))
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// A POST with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.request("POST", path).json(body)
    }
}

/// reqwest is built without a TLS stack of its own and wants one even for plain HTTP.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that there is one already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

impl From<reqwest::RequestBuilder> for Request {
    fn from(request: reqwest::RequestBuilder) -> Self {
        Self(request)
    }
}

impl Request {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Adds an access token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// Adds a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Adds a body as it is.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(body.into()))
    }

    /// Sends it and reads the answer as an envelope.
    pub async fn send(self) -> Answer {
        let (status, headers, body) = self.send_raw().await;
        Answer::new(status, headers, &body)
    }

    /// Sends it and returns status, headers and body as they are.
    pub async fn send_raw(self) -> (u16, HeaderMap, Vec<u8>) {
        let (client, request) = self.0.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client
            .execute(request)
            .await
            .unwrap_or_else(|e| panic!("no answer: {e:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .unwrap_or_else(|e| panic!("no whole answer: {e:?}"));
        conformance::check(method.as_str(), &path, status, &headers, &body);
        (status, headers, body.into())
    }
}

impl Answer {
    /// Checks what must hold for every response.
    pub fn new(status: u16, headers: HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).into_owned();
        let body: Value = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{status} is not JSON ({e}): {text}"));
        let answer = Self {
            status,
            headers,
            body,
        };
        answer.check();
        answer
    }

    /// From what a function answers to API Gateway (HTTP API and REST API alike).
    pub fn from_lambda(response: &Value) -> Self {
        let status = response["statusCode"]
            .as_u64()
            .and_then(|status| u16::try_from(status).ok());
        let mut headers = HeaderMap::new();
        for (name, value) in lambda_headers(response) {
            headers.append(
                name.parse::<reqwest::header::HeaderName>().unwrap(),
                value.parse().unwrap(),
            );
        }
        let text = response["body"].as_str().unwrap_or_default();
        let encoded = response["isBase64Encoded"].as_bool().unwrap_or_default();
        let body = if encoded {
            BASE64_STANDARD.decode(text).unwrap()
        } else {
            text.as_bytes().to_vec()
        };
        Self::new(
            status.unwrap_or_else(|| panic!("no statusCode: {response}")),
            headers,
            &body,
        )
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts success with this status and returns `data`.
    #[track_caller]
    pub fn ok(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.status < 400, "{status} is no success");
        self.data()
    }

    /// Asserts failure with this status and reason and returns `data`, which is null except for a
    /// body that failed validation and for what belongs to other users.
    #[track_caller]
    pub fn fails(&self, status: u16, reason: &str) -> &Value {
        assert_eq!(
            (self.status, self.reason()),
            (status, Some(reason)),
            "{self:?}"
        );
        self.data()
    }

    /// Asserts that a body failed validation, and at which fields (sorted).
    #[track_caller]
    pub fn fails_at(&self, fields: &[&str]) {
        let data = self.fails(400, "invalid_request");
        let list = data["fields"]
            .as_array()
            .unwrap_or_else(|| panic!("no fields: {self:?}"));
        let mut found: Vec<&str> = list
            .iter()
            .filter_map(|field| field["field"].as_str())
            .collect();
        found.sort_unstable();
        assert_eq!(found, fields, "{self:?}");
    }

    /// The machine-readable reason of a failure.
    pub fn reason(&self) -> Option<&str> {
        self.body["reason"].as_str()
    }

    /// The human-readable message.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// `data`.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    fn check(&self) {
        assert_eq!(
            self.body["code"], self.status,
            "code is not the status: {self:?}"
        );
        assert!(!self.message().is_empty(), "no message: {self:?}");
        assert!(self.body.get("data").is_some(), "no data: {self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        assert!(
            self.header("x-request-id").is_some_and(|id| !id.is_empty()),
            "no X-Request-Id: {self:?}"
        );
        assert!(
            self.header("cache-control").is_some(),
            "no Cache-Control: {self:?}"
        );
        if self.status < 400 {
            assert_eq!(
                self.body.get("reason"),
                None,
                "a success with a reason: {self:?}"
            );
        } else {
            assert!(
                self.reason().is_some(),
                "a failure without a reason: {self:?}"
            );
            let explained = [
                "invalid_request",
                "user_exists",
                "account_deletion_pending",
                "phone_taken",
            ];
            assert!(
                self.data().is_null() || self.reason().is_some_and(|it| explained.contains(&it)),
                "a failure with data: {self:?}"
            );
            assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        }
    }
}

/// `headers` and `multiValueHeaders` of a function's response, without repeating what is in both.
fn lambda_headers(response: &Value) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    for (name, values) in response["multiValueHeaders"]
        .as_object()
        .into_iter()
        .flatten()
    {
        pairs.extend(
            values
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|value| Some((name.as_str(), value.as_str()?))),
        );
    }
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        if !pairs
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            pairs.extend(value.as_str().map(|value| (name.as_str(), value)));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lambda(status: u16, envelope: &Value) -> Value {
        let headers = json!({"content-type": "application/json", "x-request-id": "r", "cache-control": "no-store"});
        json!({"statusCode": status, "headers": headers, "body": envelope.to_string()})
    }

    #[test]
    fn a_success_gives_its_data() {
        let answer = Answer::from_lambda(&lambda(
            200,
            &json!({"code": 200, "message": "ok", "data": {"a": 1}}),
        ));
        assert_eq!(answer.ok(200), &json!({"a": 1}));
    }

    #[test]
    fn a_failed_validation_names_its_fields() {
        let data = json!({"fields": [{"field": "phone"}, {"field": "gender"}]});
        let envelope =
            json!({"code": 400, "message": "no", "reason": "invalid_request", "data": data});
        Answer::from_lambda(&lambda(400, &envelope)).fails_at(&["gender", "phone"]);
    }

    #[test]
    #[should_panic(expected = "code is not the status")]
    fn a_code_that_is_not_the_status_is_refused() {
        Answer::from_lambda(&lambda(
            200,
            &json!({"code": 201, "message": "ok", "data": {}}),
        ));
    }

    #[test]
    #[should_panic(expected = "a failure with data")]
    fn a_failure_with_data_is_refused() {
        let envelope = json!({"code": 404, "message": "no", "reason": "not_found", "data": {}});
        Answer::from_lambda(&lambda(404, &envelope));
    }
}
