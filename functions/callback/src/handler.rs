//! The interface of message handlers.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use shared::api::ApiError;

use crate::push::{Fields, Push};

/// Handles pushed messages.
///
/// Every handler gets every message, one after the other, and all together have 4 seconds. A
/// message can arrive more than once: after a handler failed, after a late response, or when shared
/// state was lost. So handlers must be idempotent.
pub trait Handler: Send + Sync {
    /// Handles the message, or ignores it.
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled>;
}

/// A reply, if there is one. After an error WeChat repeats the message, at most three times.
pub type Handled = Result<Option<Reply>, ApiError>;

/// The response instead of `success`: fields by WeChat's names, in the message's format (JSON or
/// XML), and encrypted if the message was. Most messages of a mini-program need no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reply(pub Fields);
