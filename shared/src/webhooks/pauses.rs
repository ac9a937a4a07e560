//! Pauses that receivers ask for: rows `WEBHOOK#{receiver}` / `PAUSE`. Instances share no memory, and each
//! would ask a receiver again that has just told another one to wait.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Update, WriteOutcome},
    request,
    users::rows::WEBHOOK_PAUSE,
};

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
    /// The longest pause: a receiver that asked for more by mistake gets events again within this time.
    pub const LONGEST: Duration = Duration::from_hours(1);

    /// Rows in `dynamo`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock) -> Self {
        Self { dynamo, clock }
    }

    /// Lets a receiver rest for as long as it asks, an hour at most. Returns until when; none where it is in
    /// a pause already, which stays as it is: else calls that were on their way would prolong it for ever.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn begin(
        &self,
        receiver: &str,
        asked: Duration,
    ) -> Result<Option<Timestamp>, DynamoError> {
        let now = self.clock.now();
        let until = now.checked_add(asked.min(Self::LONGEST)).unwrap_or(now);
        let expires = until.checked_add(RETENTION).unwrap_or(until);
        let key = dynamo::key(&WEBHOOK_PAUSE.pk(receiver), WEBHOOK_PAUSE.sk);
        // Times with milliseconds are compared as texts.
        let is_over = Condition::new("attribute_not_exists(pk) OR #until <= :now");
        let update = Update::new(key, "SET #until = :until, #ttl = :ttl", is_over)
            .name("#until", "until")
            .name("#ttl", "ttl")
            .value(":now", dynamo::string(format!("{now:.3}")))
            .value(":until", dynamo::string(format!("{until:.3}")))
            .value(":ttl", dynamo::number(expires.as_second()));
        let written = self.dynamo.update(update).await?;
        Ok(matches!(written, WriteOutcome::Written(_)).then_some(until))
    }

    /// Whether a receiver is not to be called now. A row that can't be read is no reason not to.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn is_paused(&self, receiver: &str) -> Result<bool, DynamoError> {
        let pk = WEBHOOK_PAUSE.pk(receiver);
        let row = self.dynamo.get(&pk, WEBHOOK_PAUSE.sk).await?;
        match row.map(dynamo::from_item::<Pause>).transpose() {
            Ok(pause) => Ok(pause.is_some_and(|pause| self.clock.now() < pause.until)),
            Err(error) => {
                let why = error.to_string();
                let message = "the pause of a receiver can't be read";
                tracing::error!(request_id = request::id(), receiver, why, "{message}");
                Ok(false)
            }
        }
    }
}
