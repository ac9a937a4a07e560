//! What agreeing, and withdrawing, changes.

use e2e::{
    dynamodb::Item,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{missing, start};

const START: &str = "2026-11-23T08:00:00.123Z";

/// The rows of a user's consents.
async fn rows(app: &TestApp, tokens: &Tokens) -> Vec<Item> {
    let pk = format!("USER#{}", tokens.user_id());
    let mut rows = app.table.partition(&pk).await;
    rows.retain(|row| row["sk"].as_s().unwrap().starts_with("CONSENT#"));
    rows
}

fn consent(document: &str, version: u32, agreed_at: &str) -> Value {
    json!({
        "document": document, "version": version, "agreedAt": agreed_at, "appId": APP_ID,
        "withdrawnAt": null, "withdrawnAppId": null,
    })
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_is_recorded_with_its_time_and_mini_program(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let agreed = app.api.agree(&tokens.access, "privacy", 3).await;
    let wanted = json!({
        "consent": consent("privacy", 3, START),
        "consents": {"privacy": 3},
        "consentsMissing": missing(&[("terms", 2)]),
    });
    assert_eq!(agreed.ok(200), &wanted);
    app.clock.advance_seconds(1);
    app.api.agree(&tokens.access, "terms", 2).await.ok(200);
    let wanted = json!({
        "consents": {"privacy": 3, "terms": 2},
        "required": missing(&[("privacy", 3), ("terms", 2)]),
        "consentsMissing": [],
        "history": [
            consent("terms", 2, "2026-11-23T08:00:01.123Z"),
            consent("privacy", 3, START),
        ],
    });
    assert_eq!(app.api.consents(&tokens.access).await.ok(200), &wanted);
    let keys: Vec<_> = rows(&app, &tokens).await;
    let keys: Vec<_> = keys.iter().map(|row| row["sk"].as_s().unwrap()).collect();
    assert_eq!(
        keys,
        ["CONSENT#privacy#0000003#0001", "CONSENT#terms#0000002#0001"]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_says_in_which_mini_program_it_was_made_and_withdrawn(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let code = app.code_in(OTHER_APP_ID, "alice");
    let tokens = Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    let agreed = app.api.agree(&tokens.access, "privacy", 3).await;
    assert_eq!(agreed.ok(200)["consent"]["appId"], OTHER_APP_ID);
    let withdrawn = app.api.withdraw(&tokens.access, "privacy").await;
    assert_eq!(withdrawn.ok(200)["consent"]["withdrawnAppId"], OTHER_APP_ID);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_version_again_keeps_the_first_time(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let first = app.api.agree(&tokens.access, "privacy", 3).await;
    let before = app.rows().await;
    app.clock.advance_seconds(60);
    let again = app.api.agree(&tokens.access, "privacy", 3).await;
    assert_eq!(again.ok(200), first.ok(200));
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_is_recorded_and_does_not_fulfil(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let agreed = app.api.agree(&tokens.access, "privacy", 2).await;
    assert_eq!(agreed.ok(200)["consents"], json!({"privacy": 2}));
    let both = missing(&[("privacy", 3), ("terms", 2)]);
    assert_eq!(agreed.data()["consentsMissing"], both);
    app.clock.advance_seconds(1);
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    // A second phone that still shows the old text takes nothing back.
    let older = app.api.agree(&tokens.access, "privacy", 2).await;
    let newer = consent("privacy", 3, "2026-11-23T08:00:01.123Z");
    assert_eq!(older.ok(200)["consent"], newer);
    let list = app.api.consents(&tokens.access).await;
    let history = json!([newer, consent("privacy", 2, START)]);
    assert_eq!(list.ok(200)["history"], history);
    assert_eq!(list.data()["consents"], json!({"privacy": 3}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_is_history_and_the_document_is_missing_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    app.clock.advance_seconds(1);
    let withdrawn = app.api.withdraw(&tokens.access, "privacy").await;
    let mut ended = consent("privacy", 3, START);
    ended["withdrawnAt"] = "2026-11-23T08:00:01.123Z".into();
    ended["withdrawnAppId"] = APP_ID.into();
    let both = missing(&[("privacy", 3), ("terms", 2)]);
    let wanted = json!({"consent": ended, "consents": {}, "consentsMissing": both});
    assert_eq!(withdrawn.ok(200), &wanted);
    // Again: nothing changes.
    app.clock.advance_seconds(1);
    let before = app.rows().await;
    let again = app.api.withdraw(&tokens.access, "privacy").await;
    assert_eq!(again.ok(200), &wanted);
    assert!(app.rows().await == before, "rows were written");
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consentsMissing"], both);
    assert_eq!(info.data().get("consents"), None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreeing_again_after_a_withdrawal_is_a_new_agreement(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    for _ in 0..2 {
        app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
        app.clock.advance_seconds(1);
        app.api.withdraw(&tokens.access, "privacy").await.ok(200);
        app.clock.advance_seconds(1);
    }
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let list = app.api.consents(&tokens.access).await;
    let times = |name: &str| -> Vec<Value> {
        let history = list.ok(200)["history"].as_array().unwrap();
        history
            .iter()
            .map(|consent| consent[name].clone())
            .collect()
    };
    let second = |second: u32| json!(format!("2026-11-23T08:00:0{second}.123Z"));
    assert_eq!(times("agreedAt"), [second(4), second(2), second(0)]);
    assert_eq!(times("withdrawnAt"), [Value::Null, second(3), second(1)]);
    assert_eq!(list.data()["consents"], json!({"privacy": 3}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_no_longer_required_can_be_withdrawn(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let later = app.another_instance_with(&[("CONSENTS", "terms:2")]).await;
    let agreed = later.agree(&tokens.access, "privacy", 3).await;
    agreed.fails(404, "not_found");
    let withdrawn = later.withdraw(&tokens.access, "privacy").await;
    assert_eq!(withdrawn.ok(200)["consents"], json!({}));
    assert_eq!(withdrawn.data()["consent"]["version"], 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_profiles_version_does_not_change(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(1);
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    app.api.agree(&tokens.access, "terms", 2).await.ok(200);
    app.api.withdraw(&tokens.access, "terms").await.ok(200);
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["version"], 1);
    assert_eq!(info.data()["updatedAt"], START);
}

/// Who agrees and withdraws without end can't fill the table.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_agreements_to_a_document_are_kept(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.agree(&tokens.access, "terms", 2).await.ok(200);
    app.api.agree(&tokens.access, "privacy", 1).await.ok(200);
    let [privacy, _] = &rows(&app, &tokens).await[..] else {
        panic!("two rows");
    };
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    // Earlier than the one that holds, the first of them the earliest.
    app.table.import((0..99).map(|number| {
        let mut row = privacy.clone();
        row.insert(
            "sk".into(),
            text(format!("CONSENT#privacy#0000002#{:04}", number + 1)),
        );
        let version = aws_sdk_dynamodb::types::AttributeValue::N("2".into());
        row.insert("version".into(), version);
        let time = format!("2026-11-22T08:{:02}:{:02}Z", number / 60, number % 60);
        row.insert("agreedAt".into(), text(time.clone()));
        row.insert("withdrawnAt".into(), text(time));
        row
    }));
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let kept = rows(&app, &tokens).await;
    let keys: Vec<_> = kept
        .iter()
        .map(|row| row["sk"].as_s().unwrap().as_str())
        .collect();
    assert_eq!(keys.len(), 101, "a hundred, and that of the other document");
    assert!(!keys.contains(&"CONSENT#privacy#0000002#0001"));
    for key in [
        "CONSENT#privacy#0000001#0001",
        "CONSENT#privacy#0000002#0002",
        "CONSENT#privacy#0000003#0001",
        "CONSENT#terms#0000002#0001",
    ] {
        assert!(keys.contains(&key), "{key}");
    }
}
