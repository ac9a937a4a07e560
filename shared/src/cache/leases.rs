//! The right of one reader to load a missing value.

use std::time::Duration;

use tokio::runtime::Handle;

use super::{Cache, LEASE_TTL, entry};
use crate::{
    kv::{Delivery, Kv, Record},
    request,
    telemetry::OrDegraded,
};

pub(super) enum LeaseOutcome {
    Taken(Lease),
    /// Another reader has it, or has just stored the value.
    OfAnother,
    /// The store does not respond.
    Unavailable,
}

/// The lease on a key. Given back when it is dropped (the row could not be loaded, the value could not
/// be stored, the request was cancelled), so that nobody waits for a value that does not come.
pub(super) struct Lease {
    kv: Kv,
    key: String,
    holder: Vec<u8>,
    is_over: bool,
}

impl Cache {
    /// Takes the lease on `key`: in place of `found`, which is of no use, or where there is nothing.
    pub(super) async fn lease(&self, key: &str, found: Option<&[u8]>) -> LeaseOutcome {
        let Some(kv) = &self.kv else {
            return LeaseOutcome::Unavailable;
        };
        let holder = entry::lease(self.random.bytes());
        let record = Record {
            key,
            value: &holder,
            ttl: LEASE_TTL,
        };
        let taken = match found {
            Some(found) => kv.replace(found, record, Delivery::BestEffort).await,
            None => kv.add(record, Delivery::BestEffort).await,
        };
        let mut lease = Lease {
            kv: kv.clone(),
            key: key.to_owned(),
            holder,
            is_over: false,
        };
        match taken.or_degraded("cache lease") {
            Some(true) => LeaseOutcome::Taken(lease),
            Some(false) => {
                lease.is_over = true;
                LeaseOutcome::OfAnother
            }
            // The store may have it nevertheless, so it is given back.
            None => LeaseOutcome::Unavailable,
        }
    }
}

impl Lease {
    /// Stores the value if this lease still exists: otherwise it may be outdated.
    pub(super) async fn replace(mut self, value: &[u8], ttl: Duration) {
        let key = &self.key;
        let record = Record { key, value, ttl };
        let stored = self.kv.replace(&self.holder, record, Delivery::BestEffort);
        self.is_over = stored.await.or_degraded("cache fill").is_some();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a runtime, the process ends.
        if self.is_over || Handle::try_current().is_err() {
            return;
        }
        let (kv, key) = (self.kv.clone(), std::mem::take(&mut self.key));
        let holder = std::mem::take(&mut self.holder);
        drop(request::start(async move {
            // Required: others wait for the key, and what has failed may have failed because the
            // request's time for the store is used up.
            kv.remove(&key, &holder, Delivery::Required)
                .await
                .or_degraded("cache lease");
        }));
    }
}
