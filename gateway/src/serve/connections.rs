//! The bounded number of connections.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
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
    open: HashMap<u64, Open>,
}

struct Open {
    peer: IpAddr,
    phase: SharedPhase,
    evicted: Arc<Notify>,
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

    /// A place for a new connection from `peer`. When there is none, a connection whose client lets
    /// the server wait is closed; while all are being served, this waits.
    pub(super) async fn admit(&self, peer: IpAddr) -> Slot {
        loop {
            let slots = Arc::clone(&self.slots);
            if let Ok(slot) = slots.try_acquire_owned() {
                return self.open(peer, slot);
            }
            self.evict_one();
            let slots = Arc::clone(&self.slots);
            // The semaphore is never closed.
            if let Ok(Ok(slot)) = timeout(AGAIN, slots.acquire_owned()).await {
                return self.open(peer, slot);
            }
        }
    }

    fn open(&self, peer: IpAddr, slot: OwnedSemaphorePermit) -> Slot {
        let (phase, evicted) = (SharedPhase::new(), Arc::new(Notify::new()));
        let mut table = lock(&self.table);
        table.count += 1;
        let number = table.count;
        let open = Open {
            peer: peer.to_canonical(),
            phase: phase.clone(),
            evicted: Arc::clone(&evicted),
        };
        table.open.insert(number, open);
        Slot {
            phase,
            evicted,
            number,
            table: Arc::clone(&self.table),
            _permit: slot,
        }
    }

    /// Of the waiting connections, closes one of the address that has the most connections, so that
    /// no address can push out the others; and of that address the one that has waited longest.
    fn evict_one(&self) {
        let table = lock(&self.table);
        let mut of_peer = HashMap::<IpAddr, usize>::new();
        for open in table.open.values() {
            *of_peer.entry(open.peer).or_default() += 1;
        }
        let waiting = table.open.values().filter_map(|open| {
            let since = open.phase.get().waiting_since()?;
            Some((Reverse(of_peer.get(&open.peer)), since, &open.evicted))
        });
        if let Some((_, _, evicted)) = waiting.min_by_key(|(of_peer, since, _)| (*of_peer, *since))
        {
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::serve::phase::Phase;

    const MANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const FEW: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Connections of these addresses, of which each has waited longer than the next.
    async fn full(peers: &[IpAddr]) -> (Connections, Vec<Slot>) {
        let (connections, start) = (Connections::new(peers.len()), Instant::now());
        let mut slots = Vec::new();
        for (peer, second) in peers.iter().zip(0..) {
            let slot = connections.admit(*peer).await;
            let since = start + Duration::from_secs(second);
            slot.phase.set(Phase::Idle(since));
            slots.push(slot);
        }
        (connections, slots)
    }

    /// Which ones have been told to make room.
    async fn evicted(slots: &[Slot]) -> Vec<usize> {
        let mut evicted = Vec::new();
        for (index, slot) in slots.iter().enumerate() {
            let told = timeout(Duration::ZERO, slot.evicted.notified());
            if told.await.is_ok() {
                evicted.push(index);
            }
        }
        evicted
    }

    #[tokio::test]
    async fn the_address_with_the_most_connections_makes_room() {
        let (connections, slots) = full(&[FEW, MANY, MANY, FEW, MANY]).await;
        connections.evict_one();
        assert_eq!(evicted(&slots).await, [1]);
    }

    #[tokio::test]
    async fn of_addresses_with_as_many_connections_the_one_that_waits_longest_makes_room() {
        let (connections, slots) = full(&[FEW, MANY, MANY, FEW]).await;
        connections.evict_one();
        assert_eq!(evicted(&slots).await, [0]);
    }

    #[tokio::test]
    async fn a_connection_that_is_served_is_not_closed() {
        let (connections, slots) = full(&[FEW, MANY, MANY]).await;
        for slot in &slots[1..] {
            slot.phase.set(Phase::Serving);
        }
        connections.evict_one();
        assert_eq!(evicted(&slots).await, [0]);
    }

    #[tokio::test]
    async fn an_ipv4_mapped_address_counts_as_the_ipv4_address() {
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let (connections, slots) = full(&[FEW, MANY, mapped]).await;
        connections.evict_one();
        assert_eq!(evicted(&slots).await, [1]);
    }
}
