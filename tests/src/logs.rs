//! The lines that a process logged, and the search for secrets in them.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

/// The members of a line that are there for its metrics, in CloudWatch's embedded metric format: the
/// metrics, their labels, and the description of both.
pub fn metric_members(line: &Value) -> Vec<&str> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let directives = list(&line["_aws"]["CloudWatchMetrics"]);
    let is_named = |name: &str| {
        directives.iter().any(|directive| {
            let mut sets = list(&directive["Dimensions"]).into_iter();
            sets.any(|labels| list(&labels).iter().any(|label| label == name))
                || list(&directive["Metrics"])
                    .iter()
                    .any(|metric| metric["Name"] == name)
        })
    };
    let names = line.as_object().into_iter().flat_map(serde_json::Map::keys);
    names
        .map(String::as_str)
        .filter(|name| *name == "_aws" || is_named(name))
        .collect()
}

/// Captured lines.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    lines: Vec<String>,
}

impl Logs {
    /// Wraps lines.
    pub fn new(lines: Vec<String>) -> Self {
        Self { lines }
    }

    /// The lines as they were written.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds the lines of another process.
    pub fn extend(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    /// The lines that are JSON objects, parsed.
    pub fn json(&self) -> Vec<Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(Value::is_object)
            .collect()
    }

    /// The JSON lines in which the member `key` (at the top level) is `value`.
    pub fn json_where(&self, key: &str, value: &Value) -> Vec<Value> {
        self.json()
            .into_iter()
            .filter(|line| line.get(key) == Some(value))
            .collect()
    }

    /// Whether some line has `text` in it.
    pub fn contain(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Fails when a line is not a JSON object.
    pub fn assert_all_json(&self) {
        for line in &self.lines {
            let value = serde_json::from_str::<Value>(line);
            assert!(
                value.is_ok_and(|value| value.is_object()),
                "not a JSON line: {line}"
            );
        }
    }

    /// Fails when one of the secrets, each a name and its text, is in some line: as it is, as a
    /// JSON string holds it, percent-encoded, or in base64.
    pub fn assert_without_secrets<'a>(
        &self,
        secrets: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        for (name, secret) in secrets {
            assert!(secret.len() >= 6, "{name} is too short to search for");
            for disguise in disguises(secret) {
                let found = self.lines.iter().find(|line| line.contains(&disguise));
                assert!(
                    found.is_none(),
                    "{name} is in the log: {}",
                    found.map_or("", |line| line)
                );
            }
        }
    }
}

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines
            .iter()
            .try_for_each(|line| writeln!(f, "  | {line}"))
    }
}

fn disguises(secret: &str) -> [String; 4] {
    let json = Value::from(secret).to_string();
    [
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        BASE64_STANDARD
            .encode(secret)
            .trim_end_matches('=')
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> Logs {
        Logs::new(vec![
            r#"{"level":"INFO","url":"/a?s=k%2Fey%2B1"}"#.to_owned(),
            "plain".to_owned(),
        ])
    }

    #[test]
    fn lines_that_are_not_json_are_skipped() {
        assert_eq!(logs().json().len(), 1);
        assert_eq!(logs().json_where("level", &"INFO".into()).len(), 1);
    }

    #[test]
    #[should_panic(expected = "the key is in the log")]
    fn a_percent_encoded_secret_is_found() {
        logs().assert_without_secrets([("the key", "k/ey+1")]);
    }

    #[test]
    fn an_absent_secret_is_not_found() {
        logs().assert_without_secrets([("the key", "other-secret")]);
    }
}
