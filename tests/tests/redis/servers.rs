//! The same operations on every supported kind of server.

use std::time::Duration;

use e2e::{
    redis_cluster::RedisCluster,
    redis_server::RedisServer,
    test_app::{SharedState, TestApp},
};
use secrecy::SecretString;
use shared::{
    clock::Clock,
    config::{RedisMode, RedisSettings},
    kv::{Delivery, Kv, Record, RedisStore, Replies},
};

use crate::counter::Count;

/// A client with a generous budget, so that a slow test machine is not a failure.
pub fn client(url: &str, mode: RedisMode, ca: Option<&str>) -> Kv {
    let ca = ca.map(|ca| ca.as_bytes().to_vec());
    let settings = RedisSettings {
        url: SecretString::from(url),
        mode,
        ca,
        iam: None,
        timeout: Duration::from_secs(5),
    };
    Kv::Redis(RedisStore::open(&settings, Clock::System))
}

fn standalone(server: &RedisServer) -> Kv {
    client(&server.url(), RedisMode::Standalone, server.ca())
}

pub fn record<'a>(key: &'a str, value: &'a str) -> Record<'a> {
    Record {
        key,
        value: value.as_bytes(),
        ttl: Duration::from_mins(1),
    }
}

/// Every operation, over keys that are far apart in a cluster.
pub async fn every_operation_works(kv: &Kv) {
    kv.probe().await.unwrap();
    for key in ["{a}:k", "{b}:k", "{c}:k", "{d}:k"] {
        kv.put(record(key, "1"), Delivery::BestEffort)
            .await
            .unwrap();
        assert!(
            !kv.add(record(key, "2"), Delivery::BestEffort)
                .await
                .unwrap()
        );
        assert!(
            kv.replace(b"1", record(key, "3"), Delivery::BestEffort)
                .await
                .unwrap()
        );
        kv.remove(key, b"something else", Delivery::BestEffort)
            .await
            .unwrap();
        assert_eq!(kv.get([key]).await.unwrap(), [Some("3".into())]);
        kv.delete(key, Delivery::BestEffort).await.unwrap();
        assert!(
            kv.add(record(key, key), Delivery::BestEffort)
                .await
                .unwrap()
        );
    }
    let (a, b) = (Count::new("{a}:count", 2), Count::new("{b}:count", 3));
    for turn in 1..=2 {
        let Replies {
            steps: replies,
            values,
            ..
        } = kv
            .ask(
                &[&a, &b],
                ["{d}:k", "{c}:k", "{x}:none"],
                Delivery::BestEffort,
            )
            .await
            .unwrap();
        let replies: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
        let values = values.map(Result::unwrap);
        assert_eq!(replies, [[2 * turn], [3 * turn]]);
        assert_eq!(values, [Some("{d}:k".into()), Some("{c}:k".into()), None]);
    }
}

#[tokio::test]
async fn every_operation_works_on_redis() {
    every_operation_works(&standalone(&RedisServer::start().await)).await;
}

#[tokio::test]
async fn every_operation_works_on_valkey() {
    let Some(builder) = RedisServer::valkey() else {
        // `make test` installs it where there is a build for the machine.
        eprintln!("SKIPPED: no Valkey on this machine (VALKEY_SERVER names one)");
        return;
    };
    every_operation_works(&standalone(&builder.start().await)).await;
}

#[tokio::test]
async fn every_operation_works_with_least_privilege_over_tls() {
    let server = RedisServer::builder()
        .tls()
        .user("weapp", "open-sesame")
        .start()
        .await;
    every_operation_works(&standalone(&server)).await;
}

#[tokio::test]
async fn a_server_without_a_trusted_certificate_is_rejected() {
    let server = RedisServer::builder()
        .tls()
        .password("open-sesame")
        .start()
        .await;
    let stranger = client(&server.url(), RedisMode::Standalone, None);
    stranger
        .put(record("k", "1"), Delivery::BestEffort)
        .await
        .unwrap_err();
    let wrong_name = client(
        &server.url().replace("127.0.0.1", "localhost"),
        RedisMode::Standalone,
        server.ca(),
    );
    wrong_name
        .put(record("k", "1"), Delivery::BestEffort)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_wrong_password_is_an_error_without_the_password() {
    let server = RedisServer::start_with_password("open-sesame").await;
    let kv = client(
        &server.url().replace("open-sesame", "hunter2"),
        RedisMode::Standalone,
        None,
    );
    let error = kv
        .put(record("k", "1"), Delivery::BestEffort)
        .await
        .unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn every_operation_works_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    every_operation_works(&client(&cluster.url(), RedisMode::Cluster, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_works_on_a_cluster() {
    let cluster = RedisCluster::start().await;
    let app = TestApp::builder(SharedState::Redis)
        .set("REDIS_URL", &cluster.url())
        .set("REDIS_MODE", "cluster");
    let app = app.start().await;
    e2e::test_app::capture();
    let tokens = app.log_in("alice").await;
    for _ in 0..2 {
        let answer = app.api.info(&tokens.access).await;
        answer.ok(200);
        assert_eq!(app.log_line(&answer)["degraded"], false);
    }
    app.api.logout(&tokens.access).await.ok(200);
    app.api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
}

#[tokio::test]
async fn a_failed_step_does_not_affect_others() {
    let server = RedisServer::start().await;
    let kv = standalone(&server);
    server.command(&["LPUSH", "{a}:list", "x"]).await;
    let (broken, well) = (Count::new("{a}:list", 1), Count::new("{b}:count", 1));
    for turn in 1..=3 {
        let Replies { steps: replies, .. } = kv
            .ask(&[&broken, &well], [], Delivery::BestEffort)
            .await
            .unwrap();
        assert!(replies[0].is_err());
        assert_eq!(*replies[1].as_ref().unwrap(), [turn]);
    }
}
