//! The bounded number of connections.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::phase::SharedPhase;

/// How often a full server looks for a connection that can be closed.
const AGAIN: Duration = Duration::from_millis(50);

/// The open connections.
#[derive(Clone)]
pub(super) struct Connections {
    slots: Arc<Semaphore>,
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    count: u64,
    open: HashMap<u64, (SharedPhase, Arc<Notify>)>,
}

/// One connection's place, which is free again when this is dropped.
pub(super) struct Slot {
    pub(super) phase: SharedPhase,
    /// Notified when the connection has to make room for another one.
    pub(super) evicted: Arc<Notify>,
    number: u64,
    table: Arc<Mutex<Table>>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(limit)),
            table: Arc::default(),
        }
    }

    /// A place for a new connection. When there is none, the connection whose client has let the
    /// server wait longest is closed; while all are being served, this waits.
    pub(super) async fn admit(&self) -> Slot {
        loop {
            let slots = Arc::clone(&self.slots);
            if let Ok(slot) = slots.try_acquire_owned() {
                return self.open(slot);
            }
            self.evict_one();
            let slots = Arc::clone(&self.slots);
            // The semaphore is never closed.
            if let Ok(Ok(slot)) = timeout(AGAIN, slots.acquire_owned()).await {
                return self.open(slot);
            }
        }
    }

    fn open(&self, slot: OwnedSemaphorePermit) -> Slot {
        let (phase, evicted) = (SharedPhase::new(), Arc::new(Notify::new()));
        let mut table = lock(&self.table);
        table.count += 1;
        let number = table.count;
        table
            .open
            .insert(number, (phase.clone(), Arc::clone(&evicted)));
        Slot {
            phase,
            evicted,
            number,
            table: Arc::clone(&self.table),
            _permit: slot,
        }
    }

    fn evict_one(&self) {
        let table = lock(&self.table);
        let waiting = table.open.values().filter_map(|(phase, evicted)| {
            let since = phase.get().waiting_since()?;
            Some((since, evicted))
        });
        if let Some((_, evicted)) = waiting.min_by_key(|(since, _)| *since) {
            evicted.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.table).open.remove(&self.number);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
