//! Pauses that receivers ask for: rows `WEBHOOK#{receiver}` / `PAUSE`. Instances share no memory, and each
//! would ask a receiver again that has just told another one to wait.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update},
    users::rows::WEBHOOK_PAUSE,
};

/// The longest pause of a receiver: one that asked for more by mistake gets events again within this time.
const LONGEST: Duration = Duration::from_hours(1);
/// How long a row is kept past its end.
const RETENTION: Duration = Duration::from_hours(24);

/// The pauses of all receivers. Cheap to clone.
#[derive(Clone)]
pub struct ReceiverPauses {
    dynamo: Dynamo,
    clock: Clock,
}

#[derive(Deserialize)]
struct Pause {
    until: Timestamp,
}

impl ReceiverPauses {
    /// Rows in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock) -> Self {
        Self { dynamo, clock }
    }

    /// Lets a receiver rest for as long as it asks, an hour at most. A longer pause that it is in stays;
    /// nothing happens if it asks for none.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn begin(&self, receiver: &str, asked: Option<Duration>) -> Result<(), DynamoError> {
        let Some(asked) = asked else { return Ok(()) };
        let now = self.clock.now();
        let until = now.checked_add(asked.min(LONGEST)).unwrap_or(now);
        let expires = until.checked_add(RETENTION).unwrap_or(until);
        let key = dynamo::key(&WEBHOOK_PAUSE.pk(receiver), WEBHOOK_PAUSE.sk);
        // Times with milliseconds are compared as texts.
        let is_longer = Condition::new("attribute_not_exists(pk) OR #until < :until");
        let update = Update::new(key, "SET #until = :until, #ttl = :ttl", is_longer)
            .name("#until", "until")
            .name("#ttl", "ttl")
            .value(":until", dynamo::string(format!("{until:.3}")))
            .value(":ttl", dynamo::number(expires.as_second()));
        self.dynamo.update(update).await.map(drop)
    }

    /// Whether a receiver is not to be called now.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn is_paused(&self, receiver: &str) -> Result<bool, DynamoError> {
        let pk = WEBHOOK_PAUSE.pk(receiver);
        let row = self.dynamo.get(&pk, WEBHOOK_PAUSE.sk).await?;
        let pause = row.map(dynamo::from_item::<Pause>).transpose()?;
        Ok(pause.is_some_and(|pause| self.clock.now() < pause.until))
    }
}
