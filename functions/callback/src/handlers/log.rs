//! Logs that a message arrived, without its content.

use futures_util::future::{BoxFuture, ready};
use shared::request;

use crate::{Handled, Handler, push::Push};

pub struct Log;

impl Handler for Log {
    fn handle<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Handled> {
        let (request_id, app_id, kind) = (request::id(), push.app_id.as_str(), push.kind());
        tracing::info!(request_id, app_id, kind, "message push");
        Box::pin(ready(Ok(None)))
    }
}
