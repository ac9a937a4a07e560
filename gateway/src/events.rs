//! Events for the functions that API Gateway does not call, where there is no Lambda to hand them over.

use std::time::Duration;

use serde_json::{Value, json, value::RawValue};
use shared::{
    clock::Clock,
    random::Random,
    runtime::{InvocationError, InvocationScope, Invoker},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The time of an invocation, as in template.yaml.
const INVOCATION: Duration = Duration::from_mins(1);
/// How often the schedule of template.yaml asks the worker for what is due.
const SCHEDULE: Duration = Duration::from_mins(1);
/// How often messages to users are looked for: without a queue, nothing else says that there is one.
const MESSAGES: Duration = Duration::from_secs(5);

/// Hands an event over, and returns the function's answer.
///
/// # Errors
/// The function's. Its log line says what went wrong.
pub async fn hand_over(function: &Invoker, event: &Value) -> Result<Value, InvocationError> {
    let event = RawValue::from_string(event.to_string());
    let event = event.map_err(|error| InvocationError(error.to_string()))?;
    let id = Random::System.uuid_v7(&Clock::System).to_string();
    let invocation = InvocationScope {
        id: &id,
        deadline: Some(Instant::now() + INVOCATION),
    };
    function.invoke(&event, invocation).await
}

/// Asks the worker once a minute, and at once, for the deletions and merges of accounts that are due or
/// stopped half-way. Never returns. Several processes may do it at the same time: each saga is continued
/// by one of them.
pub async fn run_schedule(worker: Invoker) {
    ask_every(SCHEDULE, worker, "resume-sagas").await;
}

/// Has the messages to users sent that are due, every five seconds and at once. Never returns. Several
/// processes may do it at the same time: each message is claimed by one of them.
pub async fn send_due_messages(messages: Invoker) {
    ask_every(MESSAGES, messages, "send-messages").await;
}

async fn ask_every(pause: Duration, function: Invoker, task: &'static str) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // The log line of the invocation says what went wrong.
        drop(hand_over(&function, &json!({"task": task})).await);
    }
}
