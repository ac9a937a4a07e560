use std::convert::Infallible;

use jiff::Timestamp;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    kv::MemoryStore,
};

const TTL: Duration = Duration::from_secs(100);

#[derive(Debug, PartialEq)]
struct Text(String);

impl Cached for Text {
    fn encode(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        let text = String::from_utf8(stored.to_vec()).ok()?;
        (!text.starts_with('?')).then_some(Self(text))
    }
}

fn cache() -> (Cache, ManualClock) {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let kv = Kv::Memory(MemoryStore::new(Clock::Manual(clock.clone())));
    (Cache::new(kv, Random::seeded(7), TTL), clock)
}

async fn get(cache: &Cache, row: Option<&str>) -> Option<String> {
    let [known] = cache.read(["k"]).await;
    let row = row.map(|row| Text(row.to_owned()));
    let filling = cache.fill("k", known, TTL, || {
        Box::pin(async { Ok::<_, Infallible>(row) })
    });
    filling.await.unwrap().map(|text| text.0)
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
            Ok::<_, Infallible>(Some(Text("old".into())))
        })
    });
    assert_eq!(slow.await.unwrap(), Some(Text("old".into())));
    assert_eq!(get(&cache, Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_flush_does_not_let_a_slow_reader_revive_a_revoked_value() {
    let (cache, _) = cache();
    let [known] = cache.read(["k"]).await;
    let slow = cache.fill("k", known, TTL, || {
        Box::pin(async {
            cache.store_final("k", &Text("revoked".into()), TTL).await;
            cache
                .kv
                .as_ref()
                .unwrap()
                .delete("k", Delivery::Required)
                .await
                .unwrap();
            Ok::<_, Infallible>(Some(Text("active".into())))
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

#[tokio::test]
async fn an_unreadable_value_counts_as_not_cached_and_is_replaced() {
    let (cache, _) = cache();
    for unreadable in [b"v?".as_slice(), b"v\xff", b"x", b""] {
        let record = Record {
            key: "k",
            value: unreadable,
            ttl: TTL,
        };
        let kv = cache.kv.as_ref().unwrap();
        kv.put(record, Delivery::Required).await.unwrap();
        let read = get(&cache, Some("row")).await;
        assert_eq!(read.unwrap(), "row", "{unreadable:?}");
        let cached = get(&cache, Some("another")).await;
        assert_eq!(cached.unwrap(), "row", "{unreadable:?}");
    }
}
