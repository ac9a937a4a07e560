//! One injected fault: what goes wrong, on which path, and how often.

use serde::{Deserialize, Serialize};

use crate::control_error::ControlError;
use crate::protocol::api_path::Api;
use crate::protocol::errcode::ApiError;

const MAX_LATENCY_MS: u64 = 60_000;

/// What goes wrong, on which path, and how often.
///
/// `errcode` and `status` *replace* the call: it has no effect. `latency_ms`, `reset` and `garbage`
/// damage the *response* to a call that was carried out (a code is then used up), which is the
/// harder case for a client. `latency_ms` combines with all others, `status` with `errcode`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// The path, e.g. `/sns/jscode2session`. `None`: every path that has no fault of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Milliseconds to wait before the response is sent, at most 60,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Respond with this errcode, which is not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errcode: Option<i32>,
    /// Respond with this HTTP status, 200 to 599, and an HTML page, or `errcode` when that is set too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Close the connection without a response.
    pub reset: bool,
    /// Send a response that can't be parsed.
    pub garbage: Garbage,
    /// Ends after this many calls, at least 1. `None`: applies until it is cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// How a response is made unreadable; in JSON `false`, `true` or `"truncated"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "GarbageJson", into = "GarbageJson")]
pub enum Garbage {
    /// The response stays readable.
    #[default]
    No,
    /// Bytes that are neither JSON nor text.
    Noise,
    /// The first half of the real body, as a complete HTTP message.
    Truncated,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum GarbageJson {
    Flag(bool),
    Word(String),
}

impl TryFrom<GarbageJson> for Garbage {
    type Error = &'static str;

    fn try_from(json: GarbageJson) -> Result<Self, Self::Error> {
        match json {
            GarbageJson::Flag(false) => Ok(Self::No),
            GarbageJson::Flag(true) => Ok(Self::Noise),
            GarbageJson::Word(word) if word == "truncated" => Ok(Self::Truncated),
            GarbageJson::Word(_) => Err("garbage: true, false or \"truncated\""),
        }
    }
}

impl From<Garbage> for GarbageJson {
    fn from(garbage: Garbage) -> Self {
        match garbage {
            Garbage::No => Self::Flag(false),
            Garbage::Noise => Self::Flag(true),
            Garbage::Truncated => Self::Word("truncated".to_owned()),
        }
    }
}

impl Fault {
    /// The error that replaces the call.
    pub(crate) fn error(&self) -> Option<ApiError> {
        self.errcode.map(ApiError::with_code)
    }

    pub(crate) fn validate(&self) -> Result<(), ControlError> {
        let problem = self.invalid_field().or_else(|| self.invalid_combination());
        problem.map_or(Ok(()), |problem| Err(ControlError::invalid(problem)))
    }

    fn invalid_field(&self) -> Option<String> {
        let is_unknown = |path: &str| Api::ALL.iter().all(|api| api.path() != path);
        let is_status = |status: u16| (200..=599).contains(&status);
        if self.path.as_deref().is_some_and(is_unknown) {
            Some(format!(
                "path: one of {}",
                Api::ALL.map(Api::path).join(", ")
            ))
        } else if self.latency_ms.is_some_and(|ms| ms > MAX_LATENCY_MS) {
            Some(format!("latencyMs: at most {MAX_LATENCY_MS}"))
        } else if !self.status.is_none_or(is_status) {
            Some("status: 200 to 599".to_owned())
        } else if self.errcode == Some(0) {
            Some("errcode: 0 is success".to_owned())
        } else if self.times == Some(0) {
            Some("times: at least 1".to_owned())
        } else {
            None
        }
    }

    fn invalid_combination(&self) -> Option<String> {
        let has_garbage = self.garbage != Garbage::No;
        let is_damaged = self.reset || has_garbage;
        let is_replaced = self.errcode.is_some() || self.status.is_some();
        if (self.reset && has_garbage) || (is_damaged && is_replaced) {
            Some("one of reset, garbage, or status with errcode".to_owned())
        } else if !is_damaged && !is_replaced && self.latency_ms.is_none() {
            let needed = "a fault has at least one of latencyMs, errcode, status, reset, garbage";
            Some(needed.to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> String {
        let fault: Fault = serde_json::from_str(json).unwrap();
        fault.validate().unwrap_err().to_string()
    }

    #[test]
    fn an_invalid_fault_is_rejected_and_the_error_names_the_field() {
        assert!(problem(r#"{"path":"/nope","reset":true}"#).contains("/sns/jscode2session"));
        assert!(problem(r#"{"latencyMs":60001}"#).contains("latencyMs"));
        assert!(problem(r#"{"status":99}"#).contains("status"));
        assert!(problem(r#"{"errcode":0}"#).contains("errcode"));
        assert!(problem(r#"{"reset":true,"times":0}"#).contains("times"));
        assert!(problem(r#"{"reset":true,"garbage":true}"#).contains("one of"));
        assert!(problem(r#"{"reset":true,"errcode":-1}"#).contains("one of"));
        assert!(problem("{}").contains("at least one"));
    }

    #[test]
    fn garbage_is_a_boolean_or_truncated_in_json() {
        let garbage = |json| serde_json::from_str::<Fault>(json).map(|fault| fault.garbage);
        assert_eq!(
            garbage(r#"{"garbage":"truncated"}"#).unwrap(),
            Garbage::Truncated
        );
        assert_eq!(garbage(r#"{"garbage":true}"#).unwrap(), Garbage::Noise);
        garbage(r#"{"garbage":"loud"}"#).unwrap_err();
    }
}
