//! One request, and what comes of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

/// A request to a function.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose route it is.
    pub function: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path.
    pub path: &'static str,
    /// An access token.
    pub token: Option<String>,
    /// A body in JSON.
    pub body: Option<Value>,
}

impl Call {
    /// A login with this code.
    pub fn login(code: &str) -> Self {
        Self {
            body: Some(json!({"code": code})),
            ..Self::new("login", "POST", "/api/v1/user/login")
        }
    }

    /// Reads the profile.
    pub fn read(token: String) -> Self {
        Self {
            token: Some(token),
            ..Self::new("user-info", "GET", "/api/v1/user/info")
        }
    }

    /// Exchanges a refresh token.
    pub fn refresh(token: &str) -> Self {
        Self {
            body: Some(json!({"refreshToken": token})),
            ..Self::new("token", "POST", "/api/v1/user/refresh")
        }
    }

    /// Deletes the account.
    pub fn deletion(token: String) -> Self {
        Self {
            token: Some(token),
            ..Self::new("account", "DELETE", "/api/v1/user")
        }
    }

    fn new(function: &'static str, method: &'static str, path: &'static str) -> Self {
        Self {
            function,
            method,
            path,
            token: None,
            body: None,
        }
    }
}

/// What a request was answered.
#[derive(Debug)]
pub struct Reply {
    /// The envelope's data, or why there is none: the envelope's reason, or a word of this program.
    pub result: Result<Value, String>,
    /// Bytes of the response with its headers.
    pub bytes: usize,
    /// How a function ran for it, where there are functions.
    pub invocation: Option<Invocation>,
}

/// One run of a function.
#[derive(Debug, Clone, Copy)]
pub struct Invocation {
    /// Whether the instance was started for it.
    pub is_cold: bool,
    /// From when the function got the event until it had answered: what Lambda bills, without the
    /// start of the instance.
    pub duration: Duration,
}

impl Reply {
    /// From a response.
    pub fn read(status: u16, header_bytes: usize, body: &[u8]) -> Self {
        let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
        let reason = envelope["reason"].as_str().map(str::to_owned);
        let result = match status {
            200..=299 => Ok(envelope["data"].clone()),
            _ => Err(reason.unwrap_or_else(|| format!("status {status} without a reason"))),
        };
        Self {
            result,
            bytes: header_bytes + body.len(),
            invocation: None,
        }
    }

    /// There was no response.
    pub fn none(reason: &str) -> Self {
        Self {
            result: Err(reason.to_owned()),
            bytes: 0,
            invocation: None,
        }
    }
}

/// What takes requests.
pub trait Target: Send + Sync + 'static {
    /// Sends one and waits for its answer.
    fn send(&self, call: Call) -> impl Future<Output = Reply> + Send;

    /// How many instances of each function were started, where there are functions.
    fn instances(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_reason() {
        let reason =
            |status, body: &str| Reply::read(status, 0, body.as_bytes()).result.unwrap_err();
        assert_eq!(
            reason(503, r#"{"code":503,"reason":"unavailable"}"#),
            "unavailable"
        );
        assert_eq!(reason(502, "<html>"), "status 502 without a reason");
        let reply = Reply::read(200, 10, br#"{"code":0,"data":{"id":"a"}}"#);
        assert_eq!(reply.bytes, 38);
        assert_eq!(reply.result.unwrap()["id"], "a");
    }
}
