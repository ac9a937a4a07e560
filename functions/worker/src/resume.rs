//! Continues sagas.

use std::time::Duration;

use shared::{
    accounts::AccountSagas,
    instance::Instance,
    request::deadline,
    saga::{Progress, SagaError, SagaId},
    telemetry::metrics,
};
use tokio::time::Instant;

/// How long one saga is worked on before the others have their turn.
const SLICE: Duration = Duration::from_secs(10);

/// What became of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It is at its end.
    Ended,
    /// It goes on later, or another process has it.
    GoesOn,
    /// A step failed, or nobody knows what it is. The log says why.
    Failed,
}

/// Continues sagas on accounts. Cheap to clone.
#[derive(Clone)]
pub struct Resuming {
    sagas: AccountSagas,
}

impl Resuming {
    pub fn new(instance: &Instance) -> Self {
        Self {
            sagas: instance.account_sagas(),
        }
    }

    /// Continues this saga where it stands, for a while.
    pub async fn resume(&self, id: &SagaId) -> Resumed {
        let end = Instant::now() + deadline::cap(SLICE);
        let progress = deadline::scope(Some(end), self.sagas.resume(id)).await;
        match progress {
            Ok(Progress::Done | Progress::Undone) | Err(SagaError::Refused(_)) => Resumed::Ended,
            Ok(Progress::Waiting(_) | Progress::Unfinished) => Resumed::GoesOn,
            Err(error) => {
                tracing::warn!(saga_id = %id, %error, "a saga could not be continued");
                metrics::saga_failure();
                Resumed::Failed
            }
        }
    }
}
