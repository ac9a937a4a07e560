//! A cluster whose slots move and whose nodes die.

use std::time::{Duration, Instant};

use e2e::redis_cluster::RedisCluster;
use shared::{
    config::RedisMode,
    kv::{Delivery, Kv},
};

use crate::servers::{client, record};

/// One key for each of the three nodes.
async fn one_key_each(cluster: &RedisCluster) -> [String; 3] {
    let mut found: [Option<String>; 3] = [const { None }; 3];
    for n in 0.. {
        let key = format!("{{{n}}}:k");
        found[cluster.home(&key).await].get_or_insert(key);
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found.map(Option::unwrap)
}

async fn connected(cluster: &RedisCluster, keys: &[String; 3]) -> Kv {
    let kv = client(&cluster.url(), RedisMode::Cluster, None);
    for key in keys {
        kv.put(record(key, "1"), Delivery::BestEffort)
            .await
            .unwrap();
    }
    kv
}

#[tokio::test]
async fn a_moved_slot_is_followed() {
    let cluster = RedisCluster::start().await;
    let keys = one_key_each(&cluster).await;
    let kv = connected(&cluster, &keys).await;
    for key in &keys {
        kv.delete(key, Delivery::BestEffort).await.unwrap();
    }
    let [moved, ..] = &keys;
    cluster.move_slot(moved, 2).await;
    for round in ["first", "second"] {
        kv.put(record(moved, round), Delivery::BestEffort)
            .await
            .unwrap();
        let [at_home, elsewhere] = kv.get([&keys[1], moved]).await.unwrap();
        assert_eq!((at_home, elsewhere), (None, Some(round.into())));
    }
}

#[tokio::test]
async fn a_migrating_slot_is_followed() {
    let cluster = RedisCluster::start().await;
    let keys = one_key_each(&cluster).await;
    let kv = connected(&cluster, &keys).await;
    let [moving, ..] = &keys;
    kv.delete(moving, Delivery::BestEffort).await.unwrap();
    cluster.start_moving_slot(moving, 1).await;
    assert!(
        kv.add(record(moving, "there"), Delivery::BestEffort)
            .await
            .unwrap()
    );
    assert_eq!(
        kv.get([moving, &keys[2]]).await.unwrap(),
        [Some("there".into()), Some("1".into())]
    );
}

#[tokio::test]
async fn a_lost_node_affects_only_its_own_keys() {
    let mut cluster = RedisCluster::start().await;
    let keys = one_key_each(&cluster).await;
    let kv = connected(&cluster, &keys).await;
    cluster.node(0).kill();
    let [lost, rest @ ..] = &keys;
    for _ in 0..20 {
        kv.get([lost]).await.unwrap_err();
        kv.get([lost, &rest[0]]).await.unwrap_err();
        assert_eq!(
            kv.get([&rest[0], &rest[1]]).await.unwrap(),
            [Some("1".into()), Some("1".into())]
        );
    }
    kv.probe().await.unwrap_err();
}

#[tokio::test]
async fn a_silent_node_does_not_delay_other_nodes_keys() {
    let mut cluster = RedisCluster::start().await;
    let keys = one_key_each(&cluster).await;
    let kv = connected(&cluster, &keys).await;
    cluster.node(0).pause();
    let [silent, rest @ ..] = &keys;
    let start = Instant::now();
    let (lost, found) = tokio::join!(kv.get([silent]), async {
        let found = kv.get([&rest[0], &rest[1]]).await;
        // Long before the 5 s that the other one waits.
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        found
    });
    lost.unwrap_err();
    assert_eq!(found.unwrap(), [Some("1".into()), Some("1".into())]);
    cluster.node(0).resume();
}

#[tokio::test]
async fn a_promoted_replica_is_found() {
    let mut cluster = RedisCluster::start_with_replicas().await;
    let keys = one_key_each(&cluster).await;
    let kv = connected(&cluster, &keys).await;
    cluster.node(0).kill();
    kv.get([&keys[0]]).await.unwrap_err();
    cluster.replaced(0).await;
    let start = Instant::now();
    while kv
        .put(record(&keys[0], "2"), Delivery::BestEffort)
        .await
        .is_err()
    {
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "used again within 2 s"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        kv.get([&keys[0], &keys[1]]).await.unwrap(),
        [Some("2".into()), Some("1".into())]
    );
    kv.probe().await.unwrap();
}

#[tokio::test]
async fn an_unreachable_cluster_costs_its_budget_once() {
    let kv = client(
        "redis://127.0.0.1:1/,redis://127.0.0.1:2/",
        RedisMode::Cluster,
        None,
    );
    let start = Instant::now();
    for _ in 0..100 {
        kv.get(["{a}:k"]).await.unwrap_err();
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}
