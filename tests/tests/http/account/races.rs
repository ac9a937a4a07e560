//! Requests at the same time: nothing is lost, and the user's row and the history agree.

use std::collections::BTreeSet;

use e2e::{
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::{join, join_all, join4};
use rstest::rstest;
use serde_json::{Value, json};

use super::start;

/// Asserts that of each document the version that holds, and no other one, has a row without a
/// withdrawal and of the highest number.
async fn assert_history_agrees(app: &TestApp, tokens: &Tokens) -> Value {
    let list = app.api.consents(&tokens.access).await;
    let data = list.ok(200).clone();
    let history = data["history"].as_array().unwrap();
    for (document, version) in data["consents"].as_object().unwrap() {
        let holds = history.iter().any(|consent| {
            (&consent["document"], &consent["version"]) == (&json!(document), version)
                && consent["withdrawnAt"].is_null()
        });
        assert!(holds, "{document}: {data}");
    }
    data
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements_at_the_same_time_are_one(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let agree = || app.api.agree(&tokens.access, "privacy", 3);
    let answers = join_all((0..8).map(|_| agree())).await;
    for answer in &answers {
        assert_eq!(answer.ok(200)["consents"], json!({"privacy": 3}));
    }
    let data = assert_history_agrees(&app, &tokens).await;
    assert_eq!(data["history"].as_array().map(Vec::len), Some(1), "{data}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_versions_agreed_to_at_the_same_time_the_newest_holds(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    for round in 0..6 {
        let tokens = app.log_in(&format!("user{round}")).await;
        let versions = [1, 3, 2, 3, 1, 2];
        let answers = versions.map(|version| app.api.agree(&tokens.access, "privacy", version));
        let answers = join_all(answers).await;
        for (answer, version) in answers.iter().zip(versions) {
            // The one that was sent, or a newer one.
            let held = answer.ok(200)["consent"]["version"].as_u64().unwrap();
            assert!(held >= version.into(), "{answer:?}");
        }
        let data = assert_history_agrees(&app, &tokens).await;
        assert_eq!(data["consents"], json!({"privacy": 3}));
        let history = data["history"].as_array().unwrap();
        let different: BTreeSet<_> = history.iter().map(|row| row["version"].as_u64()).collect();
        assert_eq!(different.len(), history.len(), "{data}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements_race_changes_of_the_profile_and_nothing_is_lost(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let phone = |person: &str| app.wechat.phone_code(person, Some(APP_ID)).unwrap();
    for person in ["alice", "bob", "carol", "dave"] {
        let tokens = app.log_in(person).await;
        let (nickname, gender) = (json!({"nickname": person}), json!({"gender": 2}));
        let code = phone(person);
        let changes = join(
            app.api.change(&tokens.access, &nickname),
            app.api.change(&tokens.access, &gender),
        );
        let (privacy, terms, phone, changes) = join4(
            app.api.agree(&tokens.access, "privacy", 3),
            app.api.agree(&tokens.access, "terms", 2),
            app.api.bind_phone(&tokens.access, &code),
            changes,
        )
        .await;
        for answer in [&privacy, &terms, &phone, &changes.0, &changes.1] {
            answer.ok(200);
        }
        let info = app.api.info(&tokens.access).await;
        let user = info.ok(200);
        assert_eq!(user["consents"], json!({"privacy": 3, "terms": 2}));
        assert_eq!(
            (&user["nickname"], &user["gender"]),
            (&json!(person), &json!(2))
        );
        assert_eq!(user["phone"], phone.data()["phone"]);
        // Three changes of the profile; consents are none.
        assert_eq!(user["version"], 4);
        let data = assert_history_agrees(&app, &tokens).await;
        assert_eq!(data["history"].as_array().map(Vec::len), Some(2), "{data}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_races_agreements_and_what_is_answered_is_true(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    for round in 0..20 {
        let tokens = app.log_in(&format!("user{round}")).await;
        app.api.agree(&tokens.access, "privacy", 2).await.ok(200);
        let (agreed, withdrawn) = join(
            app.api.agree(&tokens.access, "privacy", 3),
            app.api.withdraw(&tokens.access, "privacy"),
        )
        .await;
        agreed.ok(200);
        let data = assert_history_agrees(&app, &tokens).await;
        let history = data["history"].as_array().unwrap();
        let ended: Vec<_> = history
            .iter()
            .filter(|consent| !consent["withdrawnAt"].is_null())
            .collect();
        assert_eq!((history.len(), ended.len()), (2, 1), "{data}");
        assert_eq!(ended[0], &withdrawn.ok(200)["consent"]);
        // Whichever came last is what holds.
        let holds = json!({"privacy": 3});
        let expected = if ended[0]["version"] == 3 {
            json!({})
        } else {
            holds
        };
        assert_eq!(data["consents"], expected, "{data}");
    }
}
