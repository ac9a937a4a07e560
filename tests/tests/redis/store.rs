//! The shared-state store: Redis and process memory give the same answers, and a lost connection is
//! not an error.

use std::time::{Duration, Instant};

use e2e::{redis_server::RedisServer, wire_proxy::WireProxy};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use secrecy::SecretBox;
use shared::{
    clock::Clock,
    config::DataKey,
    crypto::AtRest,
    encrypted_kv::EncryptedKv,
    kv::{Delivery, Holding, Kv, MemoryStore, Record, RedisStore},
    random::Random,
    request::{self, Charge, Context, Language},
};

/// More than a request may wait for Redis.
const USED_UP: Duration = Duration::from_millis(60);

fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
    Record {
        key,
        value: value.as_bytes(),
        ttl: Duration::from_mins(1),
    }
}

fn redis(server: &RedisServer) -> Kv {
    Kv::Redis(RedisStore::new(&server.url().into()))
}

/// A key that is claimed to replace another one.
const CLAIM: &str = "{a}:claim";

#[derive(Debug, Clone)]
enum Operation {
    Get,
    Put(&'static str),
    Add(&'static str),
    Replace(&'static str, &'static str),
    Delete,
    DeleteAll,
    Remove(&'static str),
    /// The holder of a claim, the expected value and the new one.
    ReplaceClaimed(&'static str, &'static str, &'static str),
}

fn operation() -> impl Strategy<Value = (&'static str, Operation)> {
    let value = || prop::sample::select(vec!["", "1", "2", "a longer value\0\r\n"]);
    let operation = prop_oneof![
        Just(Operation::Get),
        value().prop_map(Operation::Put),
        value().prop_map(Operation::Add),
        (value(), value()).prop_map(|(expected, new)| Operation::Replace(expected, new)),
        Just(Operation::Delete),
        Just(Operation::DeleteAll),
        value().prop_map(Operation::Remove),
        (value(), value(), value()).prop_map(|(holder, expected, new)| {
            Operation::ReplaceClaimed(holder, expected, new)
        }),
    ];
    let keys = vec!["{a}:k", "{b}:k", CLAIM];
    (prop::sample::select(keys), operation)
}

/// What the store answers, as text.
async fn answer(kv: &Kv, key: &str, operation: &Operation) -> String {
    match operation {
        Operation::Get => format!("{:?}", kv.get([key, "{a}:k"]).await.unwrap()),
        Operation::Put(value) => format!(
            "{:?}",
            kv.put(record(key, value), Delivery::BestEffort)
                .await
                .unwrap()
        ),
        Operation::Add(value) => format!(
            "{:?}",
            kv.add(record(key, value), Delivery::BestEffort)
                .await
                .unwrap()
        ),
        Operation::Replace(expected, value) => {
            format!(
                "{:?}",
                kv.replace(
                    expected.as_bytes(),
                    record(key, value),
                    Delivery::BestEffort
                )
                .await
                .unwrap()
            )
        }
        Operation::Delete => format!("{:?}", kv.delete(key, Delivery::BestEffort).await.unwrap()),
        Operation::DeleteAll => {
            let keys = [key, "{a}:k"];
            let deleted = kv.delete_all(&keys, Delivery::BestEffort).await;
            format!("{deleted:?} {:?}", kv.get(keys).await.unwrap())
        }
        Operation::ReplaceClaimed(holder, expected, value) => {
            let claim = Holding {
                key: CLAIM,
                holder: holder.as_bytes(),
            };
            let (record, expected) = (record("{a}:k", value), expected.as_bytes());
            let replaced = kv.replace_claimed(claim, expected, record, Delivery::BestEffort);
            let replaced = replaced.await.unwrap();
            format!("{replaced} {:?}", kv.get(["{a}:k", CLAIM]).await.unwrap())
        }
        Operation::Remove(expected) => {
            kv.remove(key, expected.as_bytes(), Delivery::BestEffort)
                .await
                .unwrap();
            format!("{:?}", kv.get([key]).await.unwrap())
        }
    }
}

#[test]
fn redis_and_memory_give_the_same_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(RedisServer::start());
    let redis = redis(&server);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 64,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&vec(operation(), 1..30), |operations| {
        runtime.block_on(async {
            server.flushall().await;
            let memory = Kv::Memory(MemoryStore::new(Clock::System));
            for (key, operation) in operations {
                let (expected, answered) = (
                    answer(&memory, key, &operation).await,
                    answer(&redis, key, &operation).await,
                );
                prop_assert_eq!(expected, answered, "{:?} {}", operation, key);
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn the_first_operation_after_a_restart_succeeds() {
    let mut server = RedisServer::start().await;
    let kv = redis(&server);
    assert!(
        kv.add(record("k", "mine"), Delivery::BestEffort)
            .await
            .unwrap()
    );
    server.kill();
    server.restart().await;
    // The connection is dead, and the server has forgotten its scripts.
    assert!(
        kv.add(record("k", "mine again"), Delivery::BestEffort)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn many_keys_are_removed_in_one_round_trip() {
    let server = RedisServer::start().await;
    let proxy = WireProxy::redis(server.port()).await;
    let kv = Kv::Redis(RedisStore::new(&server.url_via(proxy.port()).into()));
    let keys = ["{a}:k", "{b}:k", "{c}:k"];
    for key in keys {
        kv.put(record(key, "1"), Delivery::Required).await.unwrap();
    }
    proxy.take_traffic();
    for deleted in kv.delete_all(&keys, Delivery::Required).await {
        deleted.unwrap();
    }
    let traffic = proxy.take_traffic();
    assert_eq!(traffic.commands, ["DEL"; 3]);
    assert_eq!(traffic.round_trips, 1);
    assert_eq!(kv.get(keys).await.unwrap(), [None, None, None]);
}

#[tokio::test]
async fn removals_that_do_not_arrive_fail_one_by_one() {
    let mut server = RedisServer::start().await;
    let kv = redis(&server);
    kv.probe().await.unwrap();
    server.kill();
    let outcomes = kv.delete_all(&["{a}:k", "{b}:k"], Delivery::Required).await;
    assert!(outcomes.len() == 2 && outcomes.iter().all(Result::is_err));
}

/// Lets the request wait for longer than it may.
async fn use_up_the_time() {
    let now = tokio::time::Instant::now();
    request::note(|notes| notes.redis.start(Charge::Request, now, now + USED_UP));
    tokio::time::sleep(USED_UP).await;
    request::note(|notes| notes.redis.end(Charge::Request));
}

#[tokio::test]
async fn a_required_write_arrives_after_the_request_has_used_up_its_time() {
    let server = RedisServer::start().await;
    let kv = redis(&server);
    kv.probe().await.unwrap();
    let request = async {
        use_up_the_time().await;
        let lost = kv.put(record("lost", "1"), Delivery::BestEffort).await;
        assert!(lost.unwrap_err().to_string().contains("used up"));
        let required = Delivery::Required;
        kv.put(record("put", "1"), required).await.unwrap();
        assert!(kv.add(record("add", "1"), required).await.unwrap());
        assert!(
            kv.replace(b"1", record("add", "2"), required)
                .await
                .unwrap()
        );
        kv.remove("put", b"1", required).await.unwrap();
        kv.delete("add", required).await.unwrap();
    };
    Context::new(String::new(), Language::default())
        .run(request)
        .await;
}

#[tokio::test]
async fn a_repeated_claim_by_its_owner_succeeds() {
    let server = RedisServer::start().await;
    let kv = redis(&server);
    assert!(
        kv.add(record("k", "mine"), Delivery::BestEffort)
            .await
            .unwrap()
    );
    assert!(
        kv.add(record("k", "mine"), Delivery::BestEffort)
            .await
            .unwrap(),
        "the same claim again, after a lost answer"
    );
    assert!(
        !kv.add(record("k", "theirs"), Delivery::BestEffort)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn only_the_expected_value_is_removed() {
    let server = RedisServer::start().await;
    for kv in [redis(&server), Kv::Memory(MemoryStore::new(Clock::System))] {
        kv.put(record("k", "newer"), Delivery::BestEffort)
            .await
            .unwrap();
        kv.remove("k", b"older", Delivery::BestEffort)
            .await
            .unwrap();
        assert_eq!(kv.get(["k"]).await.unwrap(), [Some("newer".into())]);
        kv.remove("k", b"newer", Delivery::BestEffort)
            .await
            .unwrap();
        assert_eq!(kv.get(["k"]).await.unwrap(), [None]);
        kv.remove("k", b"newer", Delivery::BestEffort)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_encrypted_value_is_removed_after_the_request_has_used_up_its_time() {
    let server = RedisServer::start().await;
    let kv = redis(&server);
    let at_rest = AtRest::new(&[DataKey {
        id: "k1".into(),
        key: SecretBox::new(Box::new([1; 32])),
    }]);
    let encrypted = EncryptedKv::new(kv.clone(), at_rest, Random::seeded(1));
    encrypted
        .put("k", &"outdated", Duration::from_mins(1), Delivery::Required)
        .await
        .unwrap();
    let request = async {
        use_up_the_time().await;
        let matches = |value: &String| value == "outdated";
        encrypted.remove_if("k", matches).await.unwrap();
    };
    let context = Context::new(String::new(), Language::default());
    context.run(request).await;
    assert_eq!(kv.get(["k"]).await.unwrap(), [None]);
}

#[tokio::test]
async fn a_silent_server_costs_its_budget_and_is_used_again_later() {
    let server = RedisServer::start().await;
    let kv = redis(&server);
    kv.put(record("k", "1"), Delivery::BestEffort)
        .await
        .unwrap();
    server.pause();
    let start = Instant::now();
    kv.get(["k"]).await.unwrap_err();
    // The budget is 50 ms; the rest is for two busy cores.
    assert!(
        start.elapsed() < Duration::from_millis(250),
        "{:?}",
        start.elapsed()
    );
    server.resume();
    let deadline = Instant::now() + Duration::from_secs(2);
    while kv.get(["k"]).await.is_err() {
        assert!(Instant::now() < deadline, "used again within 2 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
