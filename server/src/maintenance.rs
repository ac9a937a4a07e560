//! What is done without a request. On Lambda nothing runs between requests, and an operator does it.

use std::time::Duration;

use gateway::resume_due_sagas;
use shared::instance::Instance;
use tokio::time::{Instant, interval_at};

/// How often deletions and merges of accounts are looked for that are due or stopped half-way.
const PAUSE: Duration = Duration::from_mins(1);

/// Never returns. Several servers may do it at the same time: each saga is continued by one of them.
pub(crate) async fn run(instance: Instance) {
    let mut ticks = interval_at(Instant::now() + PAUSE, PAUSE);
    loop {
        ticks.tick().await;
        match resume_due_sagas(&instance).await {
            Ok(sagas) if sagas.is_empty() => {}
            Ok(sagas) => tracing::debug!(?sagas, "unfinished sagas"),
            Err(why) => tracing::warn!(why, "unfinished sagas can't be looked for"),
        }
    }
}
