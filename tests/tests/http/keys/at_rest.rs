//! Keys at rest: a new value is encrypted with the new key, and the old key still opens old values.

use e2e::{
    dynamodb::Item,
    settings::{APP_ID, Settings},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use secrecy::ExposeSecret;
use shared::{
    config::{DataKeySettings, Env},
    crypto::AtRest,
};

const NEW_KEY: &str = "k2:00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn opened(row: &Item, name: &str, keys: &str) -> Option<String> {
    let apps = [
        ("WECHAT_APPIDS", "wx1"),
        ("WECHAT_SECRETS", "wx1:s"),
        ("DATA_KEYS", keys),
    ];
    let at_rest = AtRest::new(&DataKeySettings::read(&Env::new(apps)).keys);
    at_rest
        .open(row[name].as_s().unwrap(), row["pk"].as_s().unwrap())
        .ok()
        .map(|key| key.expose_secret().to_owned())
}

fn key_id<'a>(row: &'a Item, name: &str) -> &'a str {
    row[name].as_s().unwrap().split_once('.').unwrap().0
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_login_writes_under_the_new_key(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let old_key = format!("k1:{}", Settings::secrets()[3].1);
    let both = format!("{NEW_KEY},{old_key}");
    app.log_in("alice").await;
    let before = app.identity_row(APP_ID, "alice").await;
    assert_eq!(key_id(&before, "sessionKey"), "k1");
    let first = opened(&before, "sessionKey", &old_key);

    let rotated = app.another_instance_with(&[("DATA_KEYS", &both)]).await;
    Tokens::of(&rotated.login(&app.code("alice")).await);
    let row = app.identity_row(APP_ID, "alice").await;
    assert_eq!(
        (key_id(&row, "sessionKey"), key_id(&row, "prevSessionKey")),
        ("k2", "k1")
    );
    // The previous value moved unchanged and can still be read.
    assert_eq!(opened(&row, "prevSessionKey", &both), first);
    assert!(first.is_some() && opened(&row, "sessionKey", NEW_KEY) != first);

    // After one more login nothing encrypted with the old key is left.
    Tokens::of(&rotated.login(&app.code("alice")).await);
    let row = app.identity_row(APP_ID, "alice").await;
    assert_eq!(
        (key_id(&row, "sessionKey"), key_id(&row, "prevSessionKey")),
        ("k2", "k2")
    );
    assert!(
        opened(&row, "sessionKey", NEW_KEY).is_some()
            && opened(&row, "prevSessionKey", NEW_KEY).is_some()
    );
    assert_eq!(opened(&row, "sessionKey", &old_key), None);
}
