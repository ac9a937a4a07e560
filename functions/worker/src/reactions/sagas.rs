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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::fixtures::{changed, profile, saga},
        *,
    };

    const NOW: i64 = 1_800_000_000;

    fn is_continued(changes: &Value) -> bool {
        let row = saga("account-deletion", changes);
        waiting(&changed(None, Some(row)), NOW).is_some()
    }

    #[test]
    fn a_saga_is_continued_that_nobody_has_and_that_can_go_on() {
        for (changes, wanted) in [
            (json!({}), true),
            (json!({"notBefore": {"N": NOW.to_string()}}), true),
            (json!({"notBefore": {"N": (NOW + 1).to_string()}}), false),
            (json!({"leaseUntil": {"N": "1"}}), false),
            (json!({"outcome": {"S": "done"}}), false),
            // It would be tried again by its own change, and again.
            (json!({"failure": {"S": "no"}}), false),
        ] {
            assert_eq!(is_continued(&changes), wanted, "{changes}");
        }
    }

    #[test]
    fn a_saga_that_is_gone_and_other_rows_are_not_continued() {
        let gone = changed(Some(saga("account-deletion", &json!({}))), None);
        assert_eq!(waiting(&gone, NOW), None);
        let user = changed(None, Some(profile(&json!({}))));
        assert_eq!(waiting(&user, NOW), None);
    }
}
