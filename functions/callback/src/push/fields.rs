//! What both forms of a pushed message hold.

use serde_json::{Map, Value};
use thiserror::Error;

/// The fields of a message, by WeChat's names. In XML every value is a text, an object, or a list
/// of those.
pub type Fields = Map<String, Value>;

/// Neither JSON nor XML, or not as WeChat writes it.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not a message as JSON or XML")]
pub struct FormatError;
