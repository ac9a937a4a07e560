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
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use shared::{
    config::{MessageSettings, WeChatSettings, app_ids},
    instance::Instance,
    queue::QueueEvent,
    runtime::{EventHandler, Handled, InvocationError},
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

/// What the schedule of `template.yaml` sends.
#[derive(Deserialize)]
struct Scheduled {
    task: String,
}

/// The only task that there is.
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
        if let Ok(event) = serde_json::from_str::<QueueEvent>(event) {
            return Ok(self.intake.handle_all(event.records).await);
        }
        match serde_json::from_str::<Scheduled>(event) {
            Ok(scheduled) if scheduled.task == SEND => {
                let report = self.due.send().await;
                if report.not_stored > 0 {
                    // Nobody reads the answer to a schedule: as an error, Lambda counts it for the alarm.
                    return Err(InvocationError(format!(
                        "messages that are due: {report:?}"
                    )));
                }
                Ok(Handled {
                    route: "schedule",
                    is_complete: true,
                    answer: json!(report),
                })
            }
            // The parser's own words can quote the event.
            _ => Err(InvocationError(
                "neither messages of a queue nor a task".to_owned(),
            )),
        }
    }
}
