//! What the mini-program itself encrypts with a key of `wx.getUserCryptoManager()`.

use e2e::{
    settings::APP_ID,
    world::{
        SharedState::{self, InProcess, Redis},
        World,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::SessionKeyAction;

use super::{refuses, start, with};

const ENCRYPT_KEY: &str = "/wxa/business/getuserencryptkey";

fn message(world: &World, person: &str, text: &str) -> Value {
    json!(
        world
            .wechat
            .encrypted_message(person, text, Some(APP_ID))
            .unwrap()
    )
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_opens(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let order = json!({"order": 7, "note": "小明"});
    let answer = world
        .api
        .message(
            &tokens.access,
            &message(&world, "alice", &order.to_string()),
        )
        .await;
    assert_eq!(*answer.ok(200), order);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_remembered_and_asked_for_when_there_is_a_new_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for _ in 0..3 {
        world
            .api
            .message(&tokens.access, &message(&world, "alice", "{}"))
            .await
            .ok(200);
    }
    assert_eq!(world.wechat.calls(ENCRYPT_KEY), 1);
    world.clock.advance_seconds(3600);
    let tokens = world.log_in("alice").await;
    let newer = message(&world, "alice", "{}");
    assert_eq!(newer["version"], 2);
    world.api.message(&tokens.access, &newer).await.ok(200);
    world.api.message(&tokens.access, &newer).await.ok(200);
    assert_eq!(world.wechat.calls(ENCRYPT_KEY), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_key_still_opens(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let old = message(&world, "alice", "{}");
    world.clock.advance_seconds(3600);
    message(&world, "alice", "{}");
    let again = world.log_in("alice").await;
    assert_ne!(again.access, tokens.access);
    world.api.message(&again.access, &old).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_message_has_one_answer(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    world.log_in("bob").await;
    let good = message(&world, "alice", "{}");
    let wrong = [
        with(&good, "version", 2),
        with(&good, "encryptedData", ""),
        with(&good, "encryptedData", "AAAAAAAAAAAAAAAAAAAAAA=="),
        with(&good, "encryptedData", "not base64"),
        with(&good, "iv", "AAAA"),
        with(&good, "iv", "AAAAAAAAAAAAAAAAAAAAAA=="),
        message(&world, "alice", "no JSON"),
        message(&world, "bob", "{}"),
    ];
    for body in wrong {
        world
            .api
            .message(&tokens.access, &body)
            .await
            .fails(400, "decrypt_failed");
    }
    world
        .api
        .message(&tokens.access, &with(&good, "version", "1"))
        .await
        .fails_at(&["version"]);
    world
        .api
        .message(&tokens.access, &with(&good, "key", "x"))
        .await
        .fails_at(&["key"]);
    world.api.message(&tokens.access, &good).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_session_key_is_told(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let good = message(&world, "alice", "{}");
    world
        .wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    world
        .api
        .message(&tokens.access, &good)
        .await
        .fails(409, "session_key_stale");
    let again = world.log_in("alice").await;
    refuses(&world, ENCRYPT_KEY, 87007);
    world
        .api
        .message(&again.access, &good)
        .await
        .fails(409, "session_key_stale");
    world.wechat.clear_faults();
    world.api.message(&again.access, &good).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_nowhere_in_clear(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let good = message(&world, "alice", "{}");
    world.api.message(&tokens.access, &good).await.ok(200);
    let Some(url) = world.env().get("REDIS_URL").map(str::to_owned) else {
        return;
    };
    let mut redis = redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let key = format!("{{u:{}}}:encrypt_keys:{APP_ID}", tokens.user_id());
    let (held, life): (String, i64) = redis::pipe()
        .get(&key)
        .ttl(&key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(held.starts_with("k1."), "{held}");
    assert!((1..=3600).contains(&life), "{life}");
}
