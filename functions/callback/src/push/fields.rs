//! The content of a pushed message, independent of its format.

use serde_json::{Map, Value};
use thiserror::Error;

/// The fields of a message, by WeChat's names. In XML every value is a string, an object, or a list
/// of those.
pub type Fields = Map<String, Value>;

/// The message is neither JSON nor XML, or not in WeChat's form.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a message as JSON or XML")]
pub struct FormatError;
