//! What is done with a message.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use shared::api::ApiError;

use crate::push::{Fields, Push};

/// Does something with messages.
///
/// Each message is handed to every handler, in their order, within 4 seconds. It can come more than
/// once: when a handler failed, when an answer was late, or when shared state was lost. So what a
/// handler does has to be the same done twice.
pub trait Handler: Send + Sync {
    /// Handles the message, or leaves it alone.
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled>;
}

/// A reply, if there is one. An error makes WeChat send the message again, at most three times.
pub type Handled = Result<Option<Reply>, ApiError>;

/// The answer to WeChat instead of `success`: fields by WeChat's names, written as the message was
/// (JSON or XML), and encrypted if it was. Most messages of a mini-program take none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reply(pub Fields);
