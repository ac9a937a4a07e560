//! Sends messages to users (`docs/messages.md`). Its events are messages of a queue, each of which names a
//! message of the table or is the order of a function of one's own; and those of a schedule, which has the
//! messages sent that are due.
//!
//! A message is sent by the process that claims it. Where it is unknown whether WeChat took a message, it
//! is not sent again.

mod announcement;
mod due;
mod outcome;
mod pauses;
mod queue;
mod sender;

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::value::RawValue;
use shared::{
    config::{MessageSettings, WeChatSettings, app_ids},
    instance::Instance,
    runtime::{EventHandler, Handled, InvocationError, QueueWork},
};

use due::DueMessages;
use queue::Intake;
use sender::{Sender, SenderParts};

/// What handles the events of this function.
pub fn handler(instance: &Instance) -> Arc<dyn EventHandler> {
    instance.dynamo_at_start(1);
    let settings = MessageSettings::read(instance.env());
    let sender = Sender::new(SenderParts {
        messages: instance.messages(),
        wechat: instance.wechat_authorized(),
        call_timeout: WeChatSettings::read(instance.env()).timeout,
        limiter: instance.limiter(),
        cost: instance.limits().message,
        outbox: instance.webhook_outbox(),
        clock: instance.clock(),
        random: instance.random(),
        give_up_after: settings.retry,
    });
    let apps = app_ids(instance.env());
    Arc::new(MessagesHandler {
        intake: Intake::new(sender.clone(), instance.message_rules()),
        due: DueMessages { sender, apps },
    })
}

struct MessagesHandler {
    intake: Intake,
    due: DueMessages,
}

/// What the schedule asks for.
const SEND: &str = "send-messages";

impl EventHandler for MessagesHandler {
    fn handle<'a>(
        &'a self,
        event: &'a RawValue,
    ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
        self.dispatch(event.get()).boxed()
    }
}

impl MessagesHandler {
    async fn dispatch(&self, event: &str) -> Result<Handled, InvocationError> {
        match QueueWork::read(event, SEND)? {
            QueueWork::Messages(records) => Ok(self.intake.handle_all(records).await),
            QueueWork::Due => {
                let report = self.due.send().await;
                Handled::due(&report, report.not_stored > 0)
            }
        }
    }
}
