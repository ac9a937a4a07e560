//! Events: those of `events/<function>/<name>.json`, and those made from a request.

use std::{fs, path::PathBuf};

use serde_json::{Map, Value, json};

use crate::binaries::workspace;

/// Loads `events/<function>/<name>.json` and puts `values` in place of its `{{placeholders}}`.
/// Fails when one is left over.
pub fn load(function: &str, name: &str, values: &[(&str, &str)]) -> Value {
    let file = folder(function).join(format!("{name}.json"));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut event =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    fill(&mut event, values);
    event
}

/// The names of a function's sample events, sorted.
pub fn names(function: &str) -> Vec<String> {
    let files = fs::read_dir(folder(function)).unwrap_or_else(|e| panic!("events/{function}: {e}"));
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn folder(function: &str) -> PathBuf {
    workspace().join("events").join(function)
}

fn fill(value: &mut Value, values: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (name, replacement) in values {
                *text = text.replace(&format!("{{{{{name}}}}}"), replacement);
            }
            assert!(!text.contains("{{"), "a placeholder is left in {text:?}");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, values)),
        _ => {}
    }
}

/// A request as API Gateway's HTTP API hands it to a function (payload version 2.0).
///
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
#[derive(Debug, Clone)]
pub struct HttpApi {
    method: String,
    path: String,
    query: String,
    headers: Map<String, Value>,
    body: Option<String>,
}

impl HttpApi {
    /// A request without a body. `target` is a path, with a query or without.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = Map::from_iter([
            ("host".to_owned(), json!("api.example.com")),
            ("user-agent".to_owned(), json!("test-kit")),
        ]);
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: None,
        }
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), json!(value));
        self
    }

    /// Adds an access token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Adds a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        let mut request = self.header("content-type", "application/json");
        request.body = Some(body.to_string());
        request
    }

    /// The event.
    pub fn event(&self) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": self.headers,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "domainName": "api.example.com",
                "domainPrefix": "api",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "test-kit",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "$default",
                "stage": "$default",
                "time": "12/Mar/2026:19:03:58 +0000",
                "timeEpoch": 1_773_342_238_000_u64,
            },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_at_any_depth() {
        let mut event =
            json!({"headers": {"authorization": "Bearer {{token}}"}, "list": ["{{token}}"]});
        fill(&mut event, &[("token", "t1")]);
        assert_eq!(
            event,
            json!({"headers": {"authorization": "Bearer t1"}, "list": ["t1"]})
        );
    }

    #[test]
    #[should_panic(expected = "a placeholder is left")]
    fn a_placeholder_without_a_value_is_an_error() {
        fill(&mut json!("{{code}}"), &[("token", "t1")]);
    }

    #[test]
    fn every_sample_event_loads() {
        let tokens = ["code", "accessToken", "refreshToken", "sessionId", "userId"];
        let data = [
            "phoneCode",
            "encryptedData",
            "iv",
            "message",
            "messageVersion",
        ];
        let push = ["timestamp", "nonce", "signature", "msgSignature", "encrypt"];
        let values: Vec<_> = tokens
            .into_iter()
            .chain(data)
            .chain(push)
            .map(|name| (name, "value"))
            .collect();
        for function in [
            "health",
            "login",
            "token",
            "user-data",
            "user-info",
            "users",
            "config",
            "callback",
            "authorizer",
        ] {
            let names = names(function);
            assert!(!names.is_empty(), "events/{function} is empty");
            for name in names {
                assert!(load(function, &name, &values).is_object());
            }
        }
    }

    #[test]
    fn a_request_becomes_an_event() {
        let event = HttpApi::new("POST", "/a?b=c")
            .bearer("t")
            .json(&json!({"d": 1}))
            .event();
        assert_eq!(event["rawPath"], "/a");
        assert_eq!(event["rawQueryString"], "b=c");
        assert_eq!(event["headers"]["authorization"], "Bearer t");
        assert_eq!(event["body"], r#"{"d":1}"#);
    }
}
