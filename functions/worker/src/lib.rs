//! Follows the table's stream: what a write is followed by, without a second write in the request. And
//! once a minute, looks for what stopped half-way.
//!
//! `docs/worker.md` says how a reaction is added.

mod reactions;
mod resume;
mod schedule;

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use shared::{
    changes::{Batch, Reactions},
    instance::Instance,
    runtime::{EventHandler, Handled, InvocationError},
};

use schedule::Schedule;

/// What handles the events of this function.
pub fn handler(instance: &Instance) -> Arc<dyn EventHandler> {
    instance.dynamo_at_start(1);
    Arc::new(Worker {
        reactions: reactions::all(instance),
        schedule: Schedule::new(instance),
    })
}

struct Worker {
    reactions: Reactions,
    schedule: Schedule,
}

/// What the schedule of `template.yaml` sends.
#[derive(Deserialize)]
struct Scheduled {
    task: String,
}

/// The only task that there is.
const RESUME_SAGAS: &str = "resume-sagas";

impl EventHandler for Worker {
    fn handle<'a>(
        &'a self,
        event: &'a RawValue,
    ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
        self.dispatch(event.get()).boxed()
    }
}

impl Worker {
    async fn dispatch(&self, event: &str) -> Result<Handled, InvocationError> {
        if let Ok(batch) = serde_json::from_str::<Batch>(event) {
            let failures = batch.handle(&self.reactions).await;
            return Ok(Handled {
                route: "stream",
                is_complete: failures.is_empty(),
                answer: json!(failures),
            });
        }
        match serde_json::from_str::<Scheduled>(event) {
            Ok(scheduled) if scheduled.task == RESUME_SAGAS => {
                let report = self.schedule.resume_sagas().await?;
                Ok(Handled {
                    route: "schedule",
                    is_complete: report.failed == 0,
                    answer: json!(report),
                })
            }
            _ => Err(InvocationError(
                "neither records of a stream nor a task".to_owned(),
            )),
        }
    }
}
