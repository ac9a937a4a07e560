use std::convert::Infallible;

use jiff::Timestamp;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    kv::MemoryStore,
};

const TTL: Duration = Duration::from_secs(100);

fn cache() -> (Cache, ManualClock) {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let kv = Kv::Memory(MemoryStore::new(Clock::Manual(clock.clone())));
    (Cache::new(kv, Random::seeded(7)), clock)
}

async fn get(cache: &Cache, row: Option<&str>) -> Option<Bytes> {
    let [known] = cache.read(["k"]).await;
    let row = row.map(|row| row.as_bytes().to_vec());
    cache
        .fill("k", known, TTL, || {
            Box::pin(async { Ok::<_, Infallible>(row) })
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn the_second_reader_is_served_from_the_cache() {
    let (cache, _) = cache();
    assert_eq!(get(&cache, Some("old")).await.unwrap(), "old");
    assert_eq!(get(&cache, Some("new")).await.unwrap(), "old");
}

#[tokio::test]
async fn a_missing_row_is_cached_for_a_minute() {
    let (cache, clock) = cache();
    assert_eq!(get(&cache, None).await, None);
    assert_eq!(get(&cache, Some("made up")).await, None);
    clock.advance_seconds(61);
    assert_eq!(get(&cache, Some("now there")).await.unwrap(), "now there");
}

#[tokio::test]
async fn a_slow_reader_cannot_store_an_outdated_value() {
    let (cache, _) = cache();
    let [known] = cache.read(["k"]).await;
    let slow = cache.fill("k", known, TTL, || {
        Box::pin(async {
            // While this reader holds the old row, a writer changes it.
            cache.invalidate("k").await;
            Ok::<_, Infallible>(Some(b"old".to_vec()))
        })
    });
    assert_eq!(slow.await.unwrap().unwrap(), "old");
    assert_eq!(get(&cache, Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_flush_does_not_let_a_slow_reader_revive_a_revoked_value() {
    let (cache, _) = cache();
    let [known] = cache.read(["k"]).await;
    let slow = cache.fill("k", known, TTL, || {
        Box::pin(async {
            cache.store_final("k", b"revoked", TTL).await;
            cache
                .kv
                .as_ref()
                .unwrap()
                .delete("k", Delivery::Required)
                .await
                .unwrap();
            Ok::<_, Infallible>(Some(b"active".to_vec()))
        })
    });
    slow.await.unwrap();
    assert_eq!(cache.read(["k"]).await, [CacheEntry::Absent]);
}

#[tokio::test]
async fn values_do_not_expire_together() {
    let (cache, _) = cache();
    let ttls: std::collections::BTreeSet<_> = (0..20).map(|_| cache.jittered(TTL)).collect();
    assert!(ttls.len() > 10);
    assert!(ttls.iter().all(|ttl| *ttl <= TTL && *ttl >= TTL * 9 / 10));
}

#[tokio::test]
async fn without_a_store_every_read_loads_the_row() {
    let cache = Cache::none(Random::seeded(7));
    assert_eq!(get(&cache, Some("old")).await.unwrap(), "old");
    assert_eq!(get(&cache, Some("new")).await.unwrap(), "new");
}
