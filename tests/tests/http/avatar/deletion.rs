//! Deletion leaves no object behind, and an export knows them.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    upload::PNG,
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, instance::Instance, random::Random};
use wechat_simulator::PushOrder;

use super::{
    avatar_url, confirm, fetch, form, other_png, published, start, upload_rows, uploaded, url_of,
};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_deleted_with_its_pictures_and_uploads(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).avatars().set("CONTENT_CHECK", "on");
    let app = app.set("CONTENT_CHECK_ON_FAILURE", "allow").start().await;
    let tokens = app.log_in("alice").await;
    // One that is shown, one that is being checked, one that was uploaded, one that was not.
    let shown = uploaded(&app, &tokens, PNG).await;
    confirm(&app, &tokens, &shown).await.ok(202);
    app.clock.advance_seconds(1800);
    let url = url_of(confirm(&app, &tokens, &shown).await.ok(200));
    let checked = uploaded(&app, &tokens, PNG).await;
    confirm(&app, &tokens, &checked).await.ok(202);
    uploaded(&app, &tokens, &other_png()).await;
    form(&app, &tokens, 10).await;
    assert_eq!(upload_rows(&app).await.len(), 4 + 2);
    assert_eq!(app.object_keys().len(), 4);
    app.api.delete_account(&tokens.access).await.ok(200);
    assert_eq!(app.object_keys(), Vec::<String>::new());
    assert_eq!(upload_rows(&app).await, []);
    assert_eq!(fetch(&url).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_waits_for_the_store() {
    let app = TestApp::builder(Redis).avatars().proxied().start().await;
    let tokens = app.log_in("alice").await;
    published(&app, &tokens, PNG).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(Fault::Refuse).await;
    app.api
        .delete_account(&tokens.access)
        .await
        .fails(503, "unavailable");
    app.api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    assert_eq!(app.object_keys().len(), 1);
    store.heal().await;
    // The person's next login completes it.
    let again = app.log_in("alice").await;
    assert_ne!(again.user_id(), tokens.user_id());
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

/// As many forms as a user gets in some hours, none of them used. A request stops before its time is over,
/// and the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_with_many_uploads_is_deleted_by_several_requests() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let app = TestApp::builder(Redis).avatars().proxied();
    let app = app.set("REQUEST_TIMEOUT_MS", &TIMEOUT.as_millis().to_string());
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    form(&app, &tokens, 10).await;
    let partition = format!("USER#{}", tokens.user_id());
    let rows = app.table.partition(&partition).await;
    let row = rows
        .iter()
        .find(|row| row.contains_key("maxBytes"))
        .unwrap();
    app.table.import((0..400).map(|number| {
        let (id, mut row) = (format!("{number:032x}"), row.clone());
        row.insert("sk".into(), AttributeValue::S(format!("UPLOAD#{id}")));
        row.insert("id".into(), AttributeValue::S(id));
        row
    }));
    let slow = Fault::Latency(Duration::from_millis(50));
    app.proxies().dynamodb.set(slow).await;
    let mut stopped = 0;
    loop {
        let start = Instant::now();
        let answer = app.api.delete_account(&tokens.access).await;
        let took = start.elapsed();
        assert!(took < TIMEOUT + Duration::from_millis(500), "{took:?}");
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.ok(202)["status"], "deleting");
        stopped += 1;
        assert!(stopped < 20, "still not done");
    }
    assert!(stopped > 0, "one request was enough");
    assert_eq!(upload_rows(&app).await, []);
}

#[rstest]
#[case::the_avatar("user_authorization_revoke", json!({"RevokeInfo": "20"}))]
#[case::name_and_avatar("user_authorization_revoke", json!({"RevokeInfo": "6"}))]
#[case::flagged("user_info_modified", json!({}))]
#[case::cancelled("user_authorization_cancellation", json!({}))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_deleted_at_wechats_request(#[case] event: &str, #[case] fields: Value) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let url = published(&app, &tokens, PNG).await;
    let order = PushOrder {
        user: "alice".into(),
        event: Some(event.into()),
        fields: fields.as_object().unwrap().clone(),
        ..PushOrder::default()
    };
    let push = app.wechat.push(&order).unwrap();
    let path = format!("/api/v1/wechat/callback?{}", push.query);
    let request = app.api.request("POST", &path).body(push.body);
    assert_eq!(request.send_raw().await.0, 200);
    assert_eq!(fetch(&url).await.status, 404);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_uploads() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let url = published(&app, &tokens, PNG).await;
    let form = form(&app, &tokens, 10).await;
    let export = app.api.export(&tokens.access, None).await.ok(200).clone();
    assert_eq!(export["user"]["avatarUrl"], url);
    let uploads = export["avatarUploads"].as_array().unwrap();
    assert_eq!(uploads.len(), 2);
    let open = uploads
        .iter()
        .find(|upload| upload["phase"] == "open")
        .unwrap();
    assert_eq!(open["maxBytes"], 10);
    assert!(super::key(&form).ends_with(open["id"].as_str().unwrap()));
    let shown = uploads
        .iter()
        .find(|upload| upload["phase"] == "published")
        .unwrap();
    assert_eq!(
        (&shown["contentType"], &shown["expiresAt"]),
        (&json!("image/png"), &Value::Null)
    );
    assert!(url.contains(shown["id"].as_str().unwrap()));
    assert!(!export.to_string().contains("etag"), "{export}");
}

/// What a merge of accounts does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_avatar_is_handed_over_to_an_account_that_has_none() {
    let app = start(InProcess).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let url = published(&app, &alice, PNG).await;
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    let (from, to) = (
        alice.user_id().parse().unwrap(),
        bob.user_id().parse().unwrap(),
    );
    let avatars = instance.avatars();
    assert!(avatars.hand_over(from, to).await.unwrap());
    assert!(!avatars.hand_over(from, to).await.unwrap());
    for tokens in [&alice, &bob] {
        app.evict_profile(&tokens.user_id()).await;
    }
    assert_eq!(avatar_url(&app, &alice).await, Value::Null);
    assert_eq!(avatar_url(&app, &bob).await, url);
    // It is Bob's: Alice's deletion leaves it, and Bob's next picture deletes it.
    app.api.delete_account(&alice.access).await.ok(200);
    assert_eq!(fetch(&url).await.status, 200);
    published(&app, &bob, &other_png()).await;
    assert_eq!(fetch(&url).await.status, 404);
    assert_eq!(app.object_keys().len(), 1);
    // An account that has one keeps it.
    let carol = app.log_in("carol").await;
    published(&app, &carol, PNG).await;
    let carol = carol.user_id().parse().unwrap();
    assert!(!avatars.hand_over(carol, to).await.unwrap());
}
