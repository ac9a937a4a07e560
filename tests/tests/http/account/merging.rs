//! Two accounts of one person become one: everything is with the one, and nothing is left of the
//! other.

use e2e::{
    dynamodb::Item,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{SharedState::Redis, TestApp, Tokens},
};
use serde_json::json;
use shared::{
    accounts::{AccountMerge, MergeError, Unfit},
    clock::Clock,
    ids::UserId,
    instance::Instance,
    random::Random,
    saga::Progress,
};

use super::{start, with_everything};

/// The merge as a function has it, beside the app's instances.
fn merge(app: &TestApp) -> AccountMerge {
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    instance.account_merge()
}

fn id(tokens: &Tokens) -> UserId {
    tokens.user_id().parse().unwrap()
}

/// The account's row.
async fn profile(app: &TestApp, tokens: &Tokens) -> Item {
    let key = (format!("USER#{}", tokens.user_id()), "PROFILE".to_owned());
    app.rows().await.remove(&key).unwrap()
}

/// Nothing is left of the account but the record of the merge, which does not say whose it was.
async fn assert_gone(app: &TestApp, tokens: &Tokens) {
    let rows = format!("{:?}", app.rows().await);
    assert!(!rows.contains(&tokens.user_id()), "{rows}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_survivor_has_everything_that_both_had() {
    let app = start(Redis).await;
    let alice = with_everything(&app, "alice").await;
    let bob = app.log_in("bob").await;
    let info = app.api.info(&alice.access).await;
    let before = app.rows().await;
    let of_alice = |sk: &str| {
        let keys = before.keys();
        let keys = keys.filter(|(pk, key)| pk.ends_with(&alice.user_id()) && key.starts_with(sk));
        keys.count()
    };
    assert!(of_alice("CONSENT#") == 2 && of_alice("SESSION#") > 1);

    let progress = merge(&app).begin(id(&alice), id(&bob), None).await.unwrap();
    assert_eq!(progress, Progress::Done);
    assert_gone(&app, &alice).await;
    app.api
        .info(&alice.access)
        .await
        .fails(401, "session_revoked");
    let refreshed = app.api.refresh(&alice.refresh).await;
    assert_eq!(refreshed.status, 401, "{refreshed:?}");

    // The survivor's session is still there.
    let after = app.api.info(&bob.access).await;
    for field in ["nickname", "gender", "phone"] {
        assert_eq!(after.ok(200)[field], info.ok(200)[field], "{field}");
    }
    assert_eq!(
        after.ok(200)["consentsMissing"],
        json!([{"document": "terms", "version": 2}])
    );
    let consents = app.api.consents(&bob.access).await;
    assert_eq!(consents.ok(200)["history"].as_array().unwrap().len(), 2);
    let row = profile(&app, &bob).await;
    assert_eq!(row["identities"].as_ss().unwrap().len(), 3);
    for absent in ["statusBefore", "barredBy", "deleting"] {
        assert!(!row.contains_key(absent), "{absent}");
    }

    // Every identity leads to the survivor.
    for (person, app_id) in [("alice", APP_ID), ("alice", OTHER_APP_ID), ("bob", APP_ID)] {
        let code = app.code_in(app_id, person);
        let login = app.api.login_in(app_id, &code).await;
        assert_eq!(login.ok(200)["isNewUser"], false);
        assert_eq!(
            Tokens::of(&login).user_id(),
            bob.user_id(),
            "{person} {app_id}"
        );
    }
    let link = app.table.items_under("UNION#").await.remove(0);
    assert_eq!(*link["uid"].as_s().unwrap(), bob.user_id());

    // All of it is deleted with the survivor.
    app.api.delete_account(&bob.access).await.ok(200);
    let left = app.rows().await;
    assert!(
        left.keys().all(|(pk, _)| pk.starts_with("SAGA#")),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_are_not_in_use_are_not_merged() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let root = app.administrator("root").await;
    app.disable(&bob.user_id()).await;
    let before = app.rows().await;
    let merge = merge(&app);
    let nobody: UserId = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
    for (other, why) in [
        (id(&bob), Unfit::Disabled),
        (id(&root), Unfit::Administrator),
        (nobody, Unfit::Gone),
    ] {
        for (from, into) in [(id(&alice), other), (other, id(&alice))] {
            let error = merge.begin(from, into, None).await.unwrap_err();
            match error {
                MergeError::Unfit(user, unfit) => assert_eq!((user, unfit), (other, why)),
                error => panic!("{error:?}"),
            }
        }
    }
    let same = merge.begin(id(&alice), id(&alice), None).await;
    assert!(matches!(same, Err(MergeError::SameAccount)), "{same:?}");
    assert!(app.rows().await == before, "rows were written");
    app.api.info(&alice.access).await.ok(200);
}
