//! The content of a pushed message, independent of its format.

use serde_json::{Map, Value};
use shared::lenient_json::{NotAnObject, is_layout};
use thiserror::Error;

/// The fields of a message, by WeChat's names. In XML every value is a string, an object, or a list
/// of those.
pub type Fields = Map<String, Value>;

/// The message is neither JSON nor XML, or not in WeChat's form. The texts contain none of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// It begins with neither `{` nor `<`.
    #[error("neither JSON nor XML")]
    Neither,
    /// It begins as JSON.
    #[error(transparent)]
    Json(#[from] NotAnObject),
    /// It begins as XML.
    #[error("not XML as WeChat writes it")]
    Xml,
    /// More elements than any message of WeChat's has.
    #[error("XML that is too deep or too long")]
    Limits,
    /// A reply that XML can't represent.
    #[error("a field that XML can't represent")]
    Unwritable,
}

/// The field of this name. If there is none, one whose name differs in case or layout only.
pub(crate) fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let is_same = |other: &str| other.trim_matches(is_layout).eq_ignore_ascii_case(name);
    let similar = || fields.iter().find(|(other, _)| is_same(other.as_str()));
    fields
        .get(name)
        .or_else(|| similar().map(|(_, value)| value))
}

/// A field as text, also if it is a number: XML has text only.
pub(super) fn text(fields: &Fields, name: &str) -> Option<String> {
    as_text(find(fields, name)?)
}

/// The text of a kind, an id or a number: blanks around it are layout. `None` when nothing is left.
pub(super) fn word(fields: &Fields, name: &str) -> Option<String> {
    as_word(find(fields, name)?)
}

pub(super) fn as_word(value: &Value) -> Option<String> {
    let text = as_text(value)?;
    let word = text.trim_matches(is_layout);
    (!word.is_empty()).then(|| word.to_owned())
}

pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The same fields however a delivery was laid out: texts are trimmed, and numbers are texts.
pub(super) fn without_layout(fields: &Fields) -> Fields {
    fields
        .iter()
        .map(|(name, value)| (name.clone(), value_without_layout(value)))
        .collect()
}

fn value_without_layout(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(value_without_layout).collect(),
        Value::Object(fields) => Value::Object(without_layout(fields)),
        Value::String(text) => Value::from(text.trim_matches(is_layout)),
        Value::Number(number) => Value::from(number.to_string()),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}
