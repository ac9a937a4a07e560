use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::atomic::{AtomicU32, Ordering},
};

use ::metrics::with_local_recorder;
use jiff::Timestamp;
use thiserror::Error;
use tokio::time::Instant;

use super::*;
use crate::{
    clock::ManualClock,
    kv::MemoryStore,
    request::deadline,
    telemetry::{Detail, Emf, Views},
};

const TTL: Duration = Duration::from_secs(100);
const STALE: Duration = Duration::from_secs(1000);
const SECOND: Duration = Duration::from_secs(1);
const PLAIN: CachePolicy = CachePolicy::new("texts", TTL);
const EARLY: CachePolicy = PLAIN.renewed_early();
const LENIENT: CachePolicy = PLAIN.stale_for(STALE);

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

#[derive(Debug, Error, PartialEq)]
#[error("the table can't be read")]
struct TableDown;

/// A cache of texts, its clock, and a row that it caches.
struct Fixture {
    texts: LoadingCache<Text>,
    cache: Cache,
    clock: ManualClock,
    loads: AtomicU32,
}

impl Fixture {
    fn new(policy: CachePolicy) -> Self {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let manual = || Clock::Manual(clock.clone());
        let kv = Kv::Memory(MemoryStore::new(manual()));
        let cache = Cache::new(kv, manual(), Random::seeded(7), TTL);
        Self {
            texts: LoadingCache::new(cache.clone(), policy),
            cache,
            clock,
            loads: AtomicU32::new(0),
        }
    }

    fn kv(&self) -> &Kv {
        self.cache.kv.as_ref().unwrap()
    }

    /// Reads while the row says this.
    async fn get(&self, row: Option<&str>) -> Option<String> {
        self.get_after(Duration::ZERO, Ok(row)).await.unwrap()
    }

    /// Reads where loading takes this long and ends like this.
    async fn get_after(
        &self,
        time: Duration,
        row: Result<Option<&str>, TableDown>,
    ) -> Result<Option<String>, TableDown> {
        let loading = async move {
            self.loads.fetch_add(1, Ordering::SeqCst);
            sleep(time).await;
            Ok(row?.map(|row| Text(row.to_owned())))
        };
        let found = self.texts.get("k", || Box::pin(loading)).await?;
        Ok(found.map(|text| text.0))
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    async fn stored(&self) -> Option<bytes::Bytes> {
        let [stored] = self.kv().get(["k"]).await.unwrap();
        stored
    }

    async fn put(&self, value: &[u8]) {
        let record = Record {
            key: "k",
            value,
            ttl: TTL,
        };
        self.kv().put(record, Delivery::Required).await.unwrap();
    }
}

#[tokio::test]
async fn the_second_reader_is_served_from_the_cache() {
    let fixture = Fixture::new(PLAIN);
    assert_eq!(fixture.get(Some("old")).await.unwrap(), "old");
    assert_eq!(fixture.get(Some("new")).await.unwrap(), "old");
}

#[tokio::test]
async fn a_missing_row_is_cached_for_a_minute() {
    let fixture = Fixture::new(LENIENT);
    assert_eq!(fixture.get(None).await, None);
    assert_eq!(fixture.get(Some("made up")).await, None);
    fixture.clock.advance_seconds(61);
    let found = fixture.get(Some("now there")).await;
    assert_eq!(found.unwrap(), "now there");
}

#[tokio::test]
async fn a_slow_reader_cannot_store_an_outdated_value() {
    let fixture = Fixture::new(PLAIN);
    let slow = fixture.texts.get("k", || {
        Box::pin(async {
            // While this reader holds the old row, a writer changes it.
            fixture.texts.invalidate("k").await;
            Ok::<_, Infallible>(Some(Text("old".into())))
        })
    });
    assert_eq!(slow.await.unwrap(), Some(Text("old".into())));
    assert_eq!(fixture.get(Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_flush_does_not_let_a_slow_reader_revive_a_revoked_value() {
    let fixture = Fixture::new(PLAIN);
    let slow = fixture.texts.get("k", || {
        Box::pin(async {
            fixture
                .texts
                .store_final("k", &Text("revoked".into()))
                .await;
            let flush = fixture.kv().delete("k", Delivery::Required);
            flush.await.unwrap();
            Ok::<_, Infallible>(Some(Text("active".into())))
        })
    });
    slow.await.unwrap();
    assert_eq!(fixture.stored().await, None);
}

#[tokio::test]
async fn values_do_not_expire_together() {
    let cache = Fixture::new(PLAIN).cache;
    let ttls: BTreeSet<_> = (0..20).map(|_| cache.jittered(TTL)).collect();
    assert!(ttls.len() > 10);
    assert!(ttls.iter().all(|ttl| *ttl <= TTL && *ttl >= TTL * 9 / 10));
}

#[tokio::test]
async fn without_a_store_every_read_loads_the_row() {
    let cache = Cache::none(Clock::System, Random::seeded(7));
    let texts = LoadingCache::new(cache, LENIENT);
    for row in ["old", "new"] {
        let found = texts.get("k", || {
            Box::pin(async { Ok::<_, Infallible>(Some(Text(row.into()))) })
        });
        assert_eq!(found.await.unwrap(), Some(Text(row.into())));
    }
}

#[tokio::test]
async fn an_unreadable_value_counts_as_not_cached_and_is_replaced() {
    for policy in [PLAIN, LENIENT] {
        let fixture = Fixture::new(policy);
        for unreadable in [
            b"v?".as_slice(),
            b"v\xff",
            b"x",
            b"",
            b"d",
            b"d\x7f\0\0\0\0\0\0\0\0\0\0\0?",
        ] {
            fixture.put(unreadable).await;
            let read = fixture.get(Some("row")).await;
            assert_eq!(read.unwrap(), "row", "{unreadable:?}");
            let cached = fixture.get(Some("another")).await;
            assert_eq!(cached.unwrap(), "row", "{unreadable:?}");
        }
    }
}

#[tokio::test]
async fn many_keys_are_removed_together() {
    let Fixture { cache, texts, .. } = Fixture::new(PLAIN);
    let keys = ["a", "b", "c"];
    for key in keys {
        texts.store_final(key, &Text(key.into())).await;
    }
    cache.invalidate_all(&keys[..2]).await;
    let found = cache.kv.as_ref().unwrap().get(keys).await.unwrap();
    assert_eq!(found, [None, None, Some("vc".into())]);
}

#[tokio::test(start_paused = true)]
async fn of_many_readers_that_find_nothing_one_loads_the_row_for_all() {
    let fixture = Fixture::new(PLAIN);
    let load_time = Duration::from_millis(15);
    let readers = (0..50).map(|_| fixture.get_after(load_time, Ok(Some("row"))));
    let start = Instant::now();
    for found in futures_util::future::join_all(readers).await {
        assert_eq!(found.unwrap().unwrap(), "row");
    }
    assert_eq!(fixture.loads(), 1);
    assert!(start.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waited_in_vain_loads_the_row_and_leaves_storing_it_to_the_other() {
    let fixture = Fixture::new(PLAIN);
    let slow = fixture.get_after(5 * SECOND, Ok(Some("slow")));
    let start = Instant::now();
    let waiting = async {
        let found = fixture.get_after(Duration::ZERO, Ok(Some("own"))).await;
        let waited = start.elapsed();
        assert!(waited >= SECOND && waited < 2 * SECOND, "{waited:?}");
        assert_eq!(fixture.stored().await.unwrap().first(), Some(&b'l'));
        found
    };
    let (slow, own) = futures_util::join!(slow, waiting);
    assert_eq!(slow.unwrap().unwrap(), "slow");
    assert_eq!(own.unwrap().unwrap(), "own");
    assert_eq!(fixture.stored().await.unwrap(), "vslow");
}

#[tokio::test(start_paused = true)]
async fn a_reader_keeps_most_of_its_time_for_loading_by_itself() {
    let fixture = Fixture::new(PLAIN);
    let start = Instant::now();
    let waiting = deadline::scope(Some(start + SECOND), async {
        let found = fixture.get_after(Duration::ZERO, Ok(Some("own"))).await;
        (found, start.elapsed())
    });
    let (_, (found, waited)) =
        futures_util::join!(fixture.get_after(5 * SECOND, Ok(None)), waiting);
    assert_eq!(found.unwrap().unwrap(), "own");
    assert!(waited < SECOND / 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_takes_over_when_the_row_could_not_be_loaded() {
    let fixture = Fixture::new(PLAIN);
    let load_time = Duration::from_millis(5);
    let (failed, found) = futures_util::join!(
        fixture.get_after(load_time, Err(TableDown)),
        fixture.get_after(load_time, Ok(Some("row"))),
    );
    assert_eq!(failed, Err(TableDown));
    assert_eq!(found.unwrap().unwrap(), "row");
    assert_eq!(fixture.stored().await.unwrap(), "vrow");
}

#[tokio::test(start_paused = true)]
async fn a_reader_takes_over_from_a_cancelled_one() {
    let fixture = Fixture::new(PLAIN);
    let cancelled = fixture.get_after(5 * SECOND, Ok(Some("never")));
    let cancelled = tokio::time::timeout(Duration::from_millis(5), cancelled);
    let start = Instant::now();
    let (cancelled, found) = futures_util::join!(cancelled, fixture.get(Some("row")));
    assert!(cancelled.is_err());
    assert_eq!(found.unwrap(), "row");
    assert!(start.elapsed() < SECOND / 10, "{:?}", start.elapsed());
    assert_eq!(fixture.stored().await.unwrap(), "vrow");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_never_gets_what_was_read_before_a_write() {
    let fixture = Fixture::new(PLAIN);
    let slow = fixture.get_after(SECOND / 2, Ok(Some("old")));
    let write_and_read = async {
        sleep(SECOND / 10).await;
        fixture.cache.invalidate("k").await;
        fixture.get(Some("new")).await.unwrap()
    };
    let (_, found) = futures_util::join!(slow, write_and_read);
    assert_eq!(found, "new");
    assert_eq!(fixture.stored().await.unwrap(), "vnew");
}

/// A fixture whose value has just expired.
async fn expired(policy: CachePolicy) -> Fixture {
    let fixture = Fixture::new(policy);
    assert_eq!(fixture.get(Some("old")).await.unwrap(), "old");
    fixture.clock.advance_seconds(101);
    fixture
}

#[tokio::test(start_paused = true)]
async fn while_one_reader_renews_an_expired_value_the_others_take_it_stale() {
    let fixture = expired(LENIENT).await;
    let start = Instant::now();
    let stale = async {
        for _ in 0..10 {
            assert_eq!(fixture.get(Some("unused")).await.unwrap(), "old");
        }
        start.elapsed()
    };
    let (renewed, waited) = futures_util::join!(fixture.get_after(SECOND, Ok(Some("new"))), stale);
    assert_eq!(renewed.unwrap().unwrap(), "new");
    assert_eq!(waited, Duration::ZERO);
    assert_eq!(fixture.get(Some("unused")).await.unwrap(), "new");
    assert_eq!(fixture.loads(), 2);
}

#[tokio::test]
async fn a_stale_value_is_served_no_longer_than_its_bound() {
    let fixture = expired(LENIENT).await;
    let failing = || fixture.get_after(Duration::ZERO, Err(TableDown));
    assert_eq!(failing().await.unwrap().unwrap(), "old");
    // At most a tenth less than 1,100 seconds after it was stored.
    fixture.clock.advance_seconds(1100 - 10 - 102);
    assert_eq!(failing().await.unwrap().unwrap(), "old");
    fixture.clock.advance_seconds(11);
    assert_eq!(failing().await, Err(TableDown));
}

#[tokio::test]
async fn a_kind_that_is_never_stale_is_loaded_when_it_has_expired() {
    for policy in [PLAIN, EARLY] {
        let fixture = expired(policy).await;
        let failing = fixture.get_after(Duration::ZERO, Err(TableDown)).await;
        assert_eq!(failing, Err(TableDown));
    }
}

#[tokio::test]
async fn a_failed_renewal_is_not_repeated_by_every_reader() {
    let fixture = expired(LENIENT).await;
    for _ in 0..20 {
        let found = fixture.get_after(Duration::ZERO, Err(TableDown)).await;
        assert_eq!(found.unwrap().unwrap(), "old");
    }
    assert_eq!(fixture.loads(), 2);
    fixture.clock.advance_seconds(10);
    assert_eq!(fixture.get(Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_removal_removes_the_stale_value_too() {
    let fixture = expired(LENIENT).await;
    fixture.cache.invalidate("k").await;
    assert_eq!(fixture.get(Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_renewal_does_not_undo_a_removal() {
    let fixture = expired(LENIENT).await;
    let renewal = fixture.texts.get("k", || {
        Box::pin(async {
            fixture.cache.invalidate("k").await;
            Ok::<_, Infallible>(Some(Text("outdated".into())))
        })
    });
    renewal.await.unwrap();
    assert_eq!(fixture.stored().await, None);
}

#[tokio::test]
async fn a_renewal_does_not_replace_what_was_stored_meanwhile() {
    let fixture = expired(LENIENT).await;
    let renewal = fixture.texts.get("k", || {
        Box::pin(async {
            fixture.cache.invalidate("k").await;
            fixture.texts.store_final("k", &Text("final".into())).await;
            Ok::<_, Infallible>(Some(Text("outdated".into())))
        })
    });
    renewal.await.unwrap();
    assert_eq!(fixture.stored().await.unwrap(), "vfinal");
}

#[tokio::test]
async fn a_renewal_that_took_longer_than_a_lease_stores_nothing() {
    let fixture = expired(LENIENT).await;
    let renewal = fixture.texts.get("k", || {
        Box::pin(async {
            // The removal that followed a write in the meantime may have failed.
            fixture.clock.advance_seconds(10);
            Ok::<_, Infallible>(Some(Text("outdated".into())))
        })
    });
    renewal.await.unwrap();
    assert_eq!(fixture.get(Some("new")).await.unwrap(), "new");
}

#[tokio::test]
async fn a_row_that_is_gone_when_its_value_is_renewed_leaves_a_tombstone() {
    let fixture = expired(LENIENT).await;
    assert_eq!(fixture.get(None).await, None);
    assert_eq!(fixture.get(Some("made up")).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_readers_of_a_hot_key_never_wait_for_it() {
    let fixture = Fixture::new(EARLY);
    let load_time = Duration::from_millis(200);
    let first = fixture.get_after(load_time, Ok(Some("row"))).await;
    assert_eq!(first.unwrap().unwrap(), "row");
    let start = Instant::now();
    // Twenty readers a second; one of them loads it shortly before it expires.
    for reader in 0..2000 {
        let before = start.elapsed();
        let loads = fixture.loads();
        let found = fixture.get_after(Duration::ZERO, Ok(Some("row"))).await;
        assert_eq!(found.unwrap().unwrap(), "row");
        if fixture.loads() == loads {
            assert_eq!(start.elapsed(), before, "{reader}");
        }
        if reader % 20 == 19 {
            fixture.clock.advance_seconds(1);
        }
    }
    assert!(fixture.loads() >= 2, "{}", fixture.loads());
}

#[tokio::test]
async fn an_early_renewal_that_fails_leaves_the_value_as_it_is() {
    let fixture = Fixture::new(EARLY);
    fixture.get(Some("row")).await;
    // Its own time is over, but not the store's: this instance's clock is ahead.
    let mut record = fixture.stored().await.unwrap().to_vec();
    record[1..9].copy_from_slice(&0_i64.to_be_bytes());
    fixture.put(&record).await;
    let found = fixture.get_after(Duration::ZERO, Err(TableDown)).await;
    assert_eq!(found.unwrap().unwrap(), "row");
    assert_eq!(fixture.stored().await.unwrap(), record);
}

/// Of all metrics.
fn recorder() -> Emf {
    let views = Views {
        function: "config".to_owned(),
        detail: Detail::Full,
    };
    Emf::new("test", views, Clock::System)
}

#[test]
fn every_outcome_of_a_read_is_counted() {
    let emf = recorder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let reads = async {
        let fixture = Fixture::new(LENIENT);
        let load_time = Duration::from_millis(15);
        let readers = (0..2).map(|_| fixture.get_after(load_time, Ok(Some("row"))));
        futures_util::future::join_all(readers).await;
        for _ in 0..103 {
            fixture.get(Some("row")).await;
        }
        fixture.clock.advance_seconds(101);
        let failing = fixture.get_after(Duration::ZERO, Err(TableDown));
        failing.await.unwrap();
        fixture.clock.advance_seconds(10);
        fixture.get(Some("row")).await;
    };
    with_local_recorder(&emf, || runtime.block_on(reads));
    let lines = emf.lines();
    assert!(
        lines
            .iter()
            .any(|line| line["cache_load_latency"].is_array())
    );
    let counted: BTreeSet<_> = lines
        .iter()
        .filter(|line| line["cache_reads"].is_number())
        .map(|line| {
            assert_eq!(line["cache"], "texts");
            (line["outcome"].as_str(), line["cache_reads"].as_u64())
        })
        .collect();
    let wanted = [
        ("hit", 103),
        ("miss", 1),
        ("renewal", 1),
        ("stale", 1),
        ("wait", 1),
    ];
    let wanted = wanted.map(|(outcome, count)| (Some(outcome), Some(count)));
    assert_eq!(counted, BTreeSet::from(wanted));
}
