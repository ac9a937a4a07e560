//! Continues a saga that its process has given back for want of time.
//!
//! One whose process died is found by the schedule when its lease has run out, and so is one whose step
//! failed: to try that again at once would be to try it all the time.

use futures_util::{FutureExt, future::BoxFuture};
use shared::{
    changes::{Change, Reaction, ReactionError, Row, SagaImage},
    clock::Clock,
    instance::Instance,
    saga::SagaId,
};

use crate::resume::Resuming;

/// The reaction.
pub struct Continuation {
    resuming: Resuming,
    clock: Clock,
}

impl Continuation {
    pub fn new(instance: &Instance) -> Self {
        Self {
            resuming: Resuming::new(instance),
            clock: instance.clock(),
        }
    }

    /// Never fails: the schedule finds what this leaves.
    async fn resume(&self, change: &Change) {
        let now = self.clock.now().as_second();
        if let Some(id) = waiting(change, now) {
            self.resuming.resume(id).await;
        }
    }
}

impl Reaction for Continuation {
    fn name(&self) -> &'static str {
        "sagas"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        // Boxed, because it is large and rare.
        async {
            Box::pin(self.resume(change)).await;
            Ok(())
        }
        .boxed()
    }
}

/// The saga that nobody has, and that can go on.
fn waiting(change: &Change, now: i64) -> Option<&SagaId> {
    let Row::Saga { id, images } = &change.row else {
        return None;
    };
    let SagaImage { entry, hidden } = images.new.as_ref()?;
    let is_due = entry.not_before.is_none_or(|time| time <= now);
    let is_free = hidden.lease_until.is_none();
    (is_due && is_free && entry.outcome.is_none() && entry.failure.is_none()).then_some(id)
}
