//! Which documents and versions are taken, and what logins and profiles say is missing.

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{CONSENTS, missing, start};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_and_profiles_say_what_is_missing(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let both = missing(&[("privacy", 3), ("terms", 2)]);
    let login = app.api.login(&app.code("alice")).await;
    assert_eq!(login.ok(200)["consentsMissing"], both);
    assert_eq!(login.data()["user"].get("consents"), None);
    let tokens = Tokens::of(&login);
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consentsMissing"], both);
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let terms = missing(&[("terms", 2)]);
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consentsMissing"], terms);
    assert_eq!(info.data()["consents"], json!({"privacy": 3}));
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["consentsMissing"], terms);
    assert_eq!(again.data()["user"]["consents"], json!({"privacy": 3}));
    let change = json!({"nickname": "小明"});
    let changed = app.api.change(&tokens.access, &change).await;
    assert_eq!(changed.ok(200)["consentsMissing"], terms);
    app.api.agree(&tokens.access, "terms", 2).await.ok(200);
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consentsMissing"], json!([]));
    let repeated = app.api.login(&app.code("alice")).await;
    assert_eq!(repeated.ok(200)["consentsMissing"], json!([]));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_requirement_makes_the_document_missing_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let newer = app
        .another_instance_with(&[("CONSENTS", "privacy:4")])
        .await;
    let info = newer.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consentsMissing"], missing(&[("privacy", 4)]));
    // One that was taken back is fulfilled by what is newer.
    newer.agree(&tokens.access, "privacy", 4).await.ok(200);
    let list = app.api.consents(&tokens.access).await;
    let terms = missing(&[("terms", 2)]);
    assert_eq!(list.ok(200)["consentsMissing"], terms);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_documents_no_answer_names_missing_ones(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let login = app.api.login(&app.code("alice")).await;
    assert_eq!(login.ok(200).get("consentsMissing"), None);
    let tokens = Tokens::of(&login);
    let info = app.api.info(&tokens.access).await;
    assert_eq!(info.ok(200).get("consentsMissing"), None);
    let list = app.api.consents(&tokens.access).await;
    let empty = json!({"consents": {}, "required": [], "consentsMissing": [], "history": []});
    assert_eq!(list.ok(200), &empty);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_sees_an_agreement_at_once(#[values(Redis)] state: SharedState) {
    let app = start(state).await;
    let other = app.another_instance().await;
    let tokens = app.log_in("alice").await;
    for (document, version) in [("privacy", 3), ("terms", 2)] {
        other.info(&tokens.access).await.ok(200);
        app.api
            .agree(&tokens.access, document, version)
            .await
            .ok(200);
        let info = other.info(&tokens.access).await;
        assert_eq!(info.ok(200)["consents"][document], version);
    }
    app.api.withdraw(&tokens.access, "terms").await.ok(200);
    let info = other.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consents"], json!({"privacy": 3}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_not_configured_is_not_found(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let rows = app.rows().await;
    let long = "x".repeat(33);
    for document in [
        "cookies",
        "Privacy",
        "privacy%23",
        "1",
        "%00",
        "%ff",
        "privacy:3",
        &long,
    ] {
        let agreed = app.api.agree(&tokens.access, document, 1).await;
        agreed.fails(404, "not_found");
        let withdrawn = app.api.withdraw(&tokens.access, document).await;
        withdrawn.fails(404, "not_found");
    }
    // Never agreed to: there is nothing to withdraw.
    let nothing = app.api.withdraw(&tokens.access, "privacy").await;
    assert_eq!(nothing.ok(200)["consent"], Value::Null);
    assert!(app.rows().await == rows, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_versions_up_to_the_required_one_are_taken(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let rows = app.rows().await;
    for (body, field, rule) in [
        (json!({"version": 0}), "version", "consent_version"),
        (json!({"version": 4}), "version", "consent_version"),
        (json!({"version": 1_000_001}), "version", "consent_version"),
        (json!({"version": u32::MAX}), "version", "consent_version"),
        (json!({"version": 4_294_967_296_u64}), "version", "type"),
        (json!({"version": -1}), "version", "type"),
        (json!({"version": 3.0}), "version", "type"),
        (json!({"version": "3"}), "version", "type"),
        (json!({"version": null}), "version", "type"),
        (json!({"version": [3]}), "version", "type"),
        (json!({"version": true}), "version", "type"),
        (json!({}), "version", "required"),
        (
            json!({"version": 3, "agreedAt": "x"}),
            "agreedAt",
            "unknown_field",
        ),
        (json!([]), "", "type"),
        (json!(3), "", "type"),
    ] {
        let request = app.api.request("PUT", "/api/v1/user/consents/privacy");
        let answer = request.bearer(&tokens.access).json(&body).send().await;
        answer.fails(400, "invalid_request");
        let found = &answer.data()["fields"][0];
        let found = (found["field"].as_str(), found["rule"].as_str());
        assert_eq!(found, (Some(field), Some(rule)), "{body}");
    }
    assert!(app.rows().await == rows, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_agreement_is_their_own(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    app.api.agree(&alice.access, "privacy", 3).await.ok(200);
    let list = app.api.consents(&bob.access).await;
    assert_eq!(list.ok(200)["history"], json!([]));
    app.api.withdraw(&bob.access, "privacy").await.ok(200);
    let info = app.api.info(&alice.access).await;
    assert_eq!(info.ok(200)["consents"], json!({"privacy": 3}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_is_two_reads_and_a_transaction_and_reading_costs_nothing_more(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).set("CONSENTS", CONSENTS).proxied();
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    let dynamodb = || app.proxies().dynamodb.take_traffic().commands;
    dynamodb();
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let mut commands = dynamodb();
    commands.sort();
    assert_eq!(commands, ["GetItem", "Query", "TransactWriteItems"]);
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    let mut commands = dynamodb();
    commands.sort();
    // The profile was forgotten with the agreement.
    assert_eq!(commands, ["GetItem", "GetItem", "Query"]);
    app.api.info(&tokens.access).await.ok(200);
    dynamodb();
    if let Some(redis) = &app.proxies().redis {
        redis.take_traffic();
    }
    app.api.info(&tokens.access).await.ok(200);
    assert_eq!(dynamodb(), [""; 0]);
    if let Some(redis) = &app.proxies().redis {
        assert_eq!(redis.take_traffic().round_trips, 1);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_away_is_unavailable_and_an_agreement_can_be_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).set("CONSENTS", CONSENTS).proxied();
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    app.proxies().dynamodb.set(Fault::Refuse).await;
    app.proxies().dynamodb.cut();
    let failed = app.api.agree(&tokens.access, "privacy", 3).await;
    failed.fails(503, "unavailable");
    app.proxies().dynamodb.heal().await;
    let agreed = app.api.agree(&tokens.access, "privacy", 3).await;
    assert_eq!(agreed.ok(200)["consents"], json!({"privacy": 3}));
}
