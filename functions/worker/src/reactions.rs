//! The list of what reacts to changes.

mod audit;
mod cache;
#[cfg(test)]
mod fixtures;
mod sagas;
mod webhooks;

use std::sync::Arc;

use shared::{changes::Reactions, instance::Instance};

/// All reactions. Each gets each change, whatever becomes of the others.
pub fn all(instance: &Instance) -> Reactions {
    Reactions::new(vec![
        Arc::new(audit::Audit::new(instance)),
        Arc::new(cache::Invalidation::new(instance)),
        Arc::new(sagas::Continuation::new(instance)),
        Arc::new(webhooks::Announcement::new(instance)),
    ])
}
