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
    let mut ticks = interval(SCHEDULE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        drop(hand_over(&worker, &json!({"task": "resume-sagas"})).await);
    }
}
