//! Faults on purpose: a slow, refusing, failing, silent or babbling WeChat.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::control::ControlError;
use crate::endpoint::ENDPOINTS;
use crate::errcode::Refusal;

/// No fault keeps a caller waiting for longer.
const LONGEST_LATENCY_MS: u64 = 60_000;

/// What goes wrong, on which path, and how often.
///
/// `errcode` and `status` answer *in place of* WeChat: the call has no effect. `latency_ms`,
/// `reset` and `garbage` spoil the *way back* of a call that had its effect (a code is then used
/// up), which is the harder case for a client. `latency_ms` combines with any of the others,
/// `status` with `errcode`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// The path it is for, as `/sns/jscode2session`. None: every path that has no fault of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Milliseconds to wait before the answer goes out, at most 60,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The answer is this errcode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errcode: Option<i32>,
    /// The answer has this HTTP status, 200 to 599; a page of HTML, or the errcode when there is
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The connection breaks without an answer.
    pub reset: bool,
    /// The answer can't be read.
    pub garbage: Garbage,
    /// Ends after so many calls. None: stays until it is cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// How an answer is unreadable; in JSON `false`, `true` or `"truncated"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "GarbageJson", into = "GarbageJson")]
pub enum Garbage {
    /// It is readable.
    #[default]
    No,
    /// Bytes that are neither JSON nor text.
    Noise,
    /// The first half of the true answer, as a complete HTTP message.
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
    /// The errcode that stands in for WeChat's answer.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.errcode.map(Refusal::with_code)
    }

    fn check(&self) -> Result<(), ControlError> {
        let spoilt = self.reset || self.garbage != Garbage::No;
        let replaced = self.errcode.is_some() || self.status.is_some();
        let problem = if self.path.as_deref().is_some_and(is_unknown) {
            format!("path: one of {}", known_paths())
        } else if self.latency_ms.is_some_and(|ms| ms > LONGEST_LATENCY_MS) {
            format!("latencyMs: at most {LONGEST_LATENCY_MS}")
        } else if self
            .status
            .is_some_and(|status| !(200..=599).contains(&status))
        {
            "status: 200 to 599".to_owned()
        } else if self.errcode == Some(0) {
            "errcode: 0 is success".to_owned()
        } else if self.times == Some(0) {
            "times: at least 1".to_owned()
        } else if (self.reset && self.garbage != Garbage::No) || (spoilt && replaced) {
            "one of reset, garbage, or status with errcode".to_owned()
        } else if !spoilt && !replaced && self.latency_ms.is_none() {
            "a fault has at least one of latencyMs, errcode, status, reset, garbage".to_owned()
        } else {
            return Ok(());
        };
        Err(ControlError::invalid(problem))
    }

    /// Sends an answer, spoilt.
    pub(crate) async fn deliver(&self, mut answer: Answer) -> Response {
        if let Some(latency) = self.latency_ms {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        if self.reset {
            return broken_connection();
        }
        if let Some(status) = self.status {
            answer.status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            if self.errcode.is_none() {
                answer.content_type = "text/html";
                answer.body = error_page(answer.status);
            }
        }
        match self.garbage {
            Garbage::No => {}
            Garbage::Noise => answer.body = Bytes::from_static(b"\x1f\x8b\x08\0noise\xff\xfe{\"op"),
            Garbage::Truncated => answer.body.truncate(answer.body.len() / 2),
        }
        answer.into()
    }
}

/// A body that fails before its first byte: hyper has not sent the head by then, and closes the
/// connection.
fn broken_connection() -> Response {
    let failure = io::Error::new(io::ErrorKind::ConnectionReset, "a fault, on purpose");
    Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])))
}

fn error_page(status: StatusCode) -> Bytes {
    format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>")
        .into()
}

fn is_unknown(path: &str) -> bool {
    ENDPOINTS.iter().all(|endpoint| endpoint.path != path)
}

fn known_paths() -> String {
    let paths: Vec<_> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    paths.join(", ")
}

/// The faults that are set.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// At most one for each path and one for the rest, so that it is never in doubt which one
    /// strikes.
    pub(crate) fn replace(&mut self, faults: Vec<Fault>) -> Result<(), ControlError> {
        for (i, fault) in faults.iter().enumerate() {
            fault.check()?;
            if faults.iter().take(i).any(|other| other.path == fault.path) {
                return Err(ControlError::invalid("one fault for each path"));
            }
        }
        self.0 = faults;
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn all(&self) -> Vec<Fault> {
        self.0.clone()
    }

    /// The fault that a call to this path meets: its own, or else the one for all. Counts the call.
    pub(crate) fn take(&mut self, path: &str) -> Option<Fault> {
        let own = self
            .0
            .iter()
            .position(|fault| fault.path.as_deref() == Some(path));
        let at = own.or_else(|| self.0.iter().position(|fault| fault.path.is_none()))?;
        let fault = self.0.get_mut(at)?;
        let struck = fault.clone();
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(at);
            }
        }
        Some(struck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    fn problem(json: &str) -> String {
        Faults::default()
            .replace(vec![fault(json)])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_fault_of_the_path_comes_before_the_one_for_all() {
        let mut faults = Faults::default();
        let all = fault(r#"{"errcode":-1}"#);
        let own = fault(r#"{"path":"/cgi-bin/token","status":502}"#);
        faults.replace(vec![all.clone(), own.clone()]).unwrap();
        assert_eq!(faults.take("/cgi-bin/token"), Some(own));
        assert_eq!(faults.take("/sns/jscode2session"), Some(all));
    }

    #[test]
    fn a_fault_ends_after_its_times() {
        let mut faults = Faults::default();
        faults
            .replace(vec![fault(r#"{"reset":true,"times":2}"#)])
            .unwrap();
        assert!(faults.take("/cgi-bin/token").is_some());
        assert!(faults.take("/cgi-bin/token").is_some());
        assert_eq!(faults.take("/cgi-bin/token"), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
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
    fn refused_faults_leave_the_old_ones_in_place() {
        let mut faults = Faults::default();
        let good = fault(r#"{"errcode":-1}"#);
        faults.replace(vec![good.clone()]).unwrap();
        faults
            .replace(vec![good.clone(), good.clone()])
            .unwrap_err();
        assert_eq!(faults.all(), [good]);
    }

    #[test]
    fn garbage_is_a_flag_or_a_word() {
        assert_eq!(
            fault(r#"{"garbage":"truncated"}"#).garbage,
            Garbage::Truncated
        );
        assert_eq!(fault(r#"{"garbage":true}"#).garbage, Garbage::Noise);
        serde_json::from_str::<Fault>(r#"{"garbage":"loud"}"#).unwrap_err();
    }
}
