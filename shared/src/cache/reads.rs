//! Counts what the readers of a cache found.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::telemetry::metrics::{self, CacheRead};

/// A hit is worth a metric, but not in every request: on Lambda each one would be a part of a log
/// line, which costs more than the hit saved.
const BATCH: u64 = 100;

/// The reads of one kind of value.
pub(super) struct Reads {
    cache: &'static str,
    /// Those that have not been recorded yet.
    hits: AtomicU64,
}

impl Reads {
    pub(super) fn new(cache: &'static str) -> Self {
        Self {
            cache,
            hits: AtomicU64::default(),
        }
    }

    /// A value that has not expired.
    pub(super) fn hit(&self) {
        if self.hits.fetch_add(1, Ordering::Relaxed) + 1 >= BATCH {
            self.record_hits();
        }
    }

    /// Anything else. Records the hits before it, too.
    pub(super) fn other(&self, read: CacheRead) {
        self.record_hits();
        metrics::cache_reads(self.cache, read, 1);
    }

    /// A row was loaded, or could not be.
    pub(super) fn loaded(&self, took: Duration) {
        metrics::cache_load(self.cache, took);
    }

    fn record_hits(&self) {
        let hits = self.hits.swap(0, Ordering::Relaxed);
        if hits > 0 {
            metrics::cache_reads(self.cache, CacheRead::Hit, hits);
        }
    }
}
