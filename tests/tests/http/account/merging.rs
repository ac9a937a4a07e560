//! Two accounts of one person become one: everything is with the one, and nothing is left of the
//! other.

use e2e::{
    dynamodb::{Item, TABLE},
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{SharedState::Redis, TestApp, Tokens},
};
use futures_util::join;
use rstest::rstest;
use serde_json::json;
use shared::{
    accounts::{AccountMerge, MergeError, MergeProof, Unfit},
    clock::Clock,
    dynamo::{self, Condition, Write},
    ids::UserId,
    instance::Instance,
    random::Random,
    saga::Progress,
};

use super::{start, with_everything};
use crate::dynamodb_faults::{Fault, Front};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_of_the_same_two_at_the_same_time_end_in_one_account() {
    let app = start(Redis).await;
    for round in 0..5 {
        let alice = with_everything(&app, &format!("alice{round}")).await;
        let bob = app.log_in(&format!("bob{round}")).await;
        let (one, other) = (merge(&app), merge(&app));
        let (from, into) = (id(&alice), id(&bob));
        let same = join!(one.begin(from, into, None), other.begin(from, into, None));
        for outcome in [&same.0, &same.1] {
            assert!(
                matches!(
                    outcome,
                    Ok(Progress::Done | Progress::Unfinished) | Err(MergeError::Unfit(_, _))
                ),
                "{outcome:?}"
            );
        }
        assert_gone(&app, &alice).await;
        assert_eq!(
            profile(&app, &bob).await["status"].as_s().unwrap(),
            "active"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_in_both_directions_at_the_same_time_end_in_one_account() {
    let app = start(Redis).await;
    for round in 0..5 {
        let alice = with_everything(&app, &format!("alice{round}")).await;
        let bob = app.log_in(&format!("bob{round}")).await;
        let (one, other) = (merge(&app), merge(&app));
        let (from, into) = (id(&alice), id(&bob));
        let (there, back) = join!(one.begin(from, into, None), other.begin(into, from, None));
        let done = [&there, &back].map(|outcome| matches!(outcome, Ok(Progress::Done)));
        assert!(done.contains(&true), "{there:?} {back:?}");
        let rows = app.rows().await;
        let is_left = |tokens: &Tokens| {
            let key = (format!("USER#{}", tokens.user_id()), "PROFILE".to_owned());
            rows.get(&key)
                .map(|row| row["status"].as_s().unwrap() == "active")
        };
        match (is_left(&alice), is_left(&bob)) {
            (None, Some(true)) => assert_gone(&app, &alice).await,
            (Some(true), None) => assert_gone(&app, &bob).await,
            left => panic!("{left:?}"),
        }
    }
}

/// Either the deletion was first, and the merge is refused or finds nobody; or the merge was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_and_a_merge_at_the_same_time_are_one_after_the_other() {
    let app = start(Redis).await;
    for round in 0..8 {
        let alice = with_everything(&app, &format!("alice{round}")).await;
        let bob = app.log_in(&format!("bob{round}")).await;
        let deleted = if round % 2 == 0 { &alice } else { &bob };
        let merge = merge(&app);
        let (merged, deletion) = join!(
            merge.begin(id(&alice), id(&bob), None),
            app.api.delete_account(&deleted.access)
        );
        let answer = (deletion.status, deletion.reason());
        let is_deleted = match answer {
            (200, _) => true,
            // Merged before, or the merge has it; the token is refused from the first step on.
            (401 | 409 | 503, _) => false,
            _ => panic!("{deletion:?}"),
        };
        let rows = format!("{:?}", app.rows().await);
        let is_left = |tokens: &Tokens| rows.contains(&tokens.user_id());
        match (&merged, is_deleted) {
            // The survivor was deleted after the merge.
            (Ok(Progress::Done), true) => assert!(!is_left(&alice) && !is_left(&bob), "{rows}"),
            (Ok(Progress::Done), false) => assert!(!is_left(&alice) && is_left(&bob), "{rows}"),
            (Err(MergeError::Unfit(user, _)), true) => {
                assert_eq!(*user, id(deleted));
                assert!(!is_left(deleted), "{rows}");
            }
            _ => panic!("{merged:?} {deletion:?}"),
        }
        // Nothing is left unfinished: the accounts that are left are in use.
        for ((_, sk), row) in app.rows().await {
            let is_barred = sk == "PROFILE" && row["status"].as_s().unwrap() == "barred";
            assert!(!is_barred, "{row:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_first_completes_a_merge_that_stopped() {
    let app = start(Redis).await;
    let root = app.administrator("root").await;
    for round in 0..2 {
        let alice = with_everything(&app, &format!("alice{round}")).await;
        let bob = app.log_in(&format!("bob{round}")).await;
        stop(&app, &alice, &bob).await;
        let list = app.api.sagas(&root.access).await;
        let saga = &list.ok(200)["sagas"][0];
        assert_eq!(
            (&saga["kind"], &saga["step"], &saga["failed"]),
            (&json!("account-merge"), &json!("sessions"), &json!(true))
        );
        assert!(!format!("{saga}").contains(&alice.user_id()));
        for tokens in [&alice, &bob] {
            let user = app.api.user(&root.access, &tokens.user_id()).await;
            assert_eq!(user.ok(200)["sagas"], json!([saga]));
        }
        if round == 0 {
            let answer = app.api.delete_user(&root.access, &bob.user_id()).await;
            assert_eq!(answer.ok(200)["status"], "deleted");
            assert_gone(&app, &bob).await;
        } else {
            // What alice was is bob's now.
            let answer = app.api.delete_user(&root.access, &alice.user_id()).await;
            answer.fails(409, "conflict");
            app.api.info(&bob.access).await.ok(200);
        }
        assert_gone(&app, &alice).await;
    }
}

/// The account is merged into another one when its deletion is about to be written down.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_was_merged_meanwhile_is_not_called_deleted(
    #[values(false, true)] by_an_administrator: bool,
    #[values(false, true)] called_off_before: bool,
) {
    let app = TestApp::builder(Redis).set("DELETION_COOLING_DAYS", "7");
    let app = app.avatars().start().await;
    let root = app.administrator("root").await;
    let (mut alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    if called_off_before {
        let begun = app.api.delete_account(&alice.access).await;
        assert_eq!(begun.ok(202)["status"], "barred");
        let again = app.api.call_back(&app.code("alice")).await;
        alice = Tokens::of(&again);
    }
    let (front, slow) = Front::of(&app).await;
    let hold = front.hold_only("SAGA#", "TransactWriteItems");
    let deletion = async {
        if by_an_administrator {
            slow.delete_user(&root.access, &alice.user_id()).await
        } else {
            slow.delete_account(&alice.access).await
        }
    };
    let (answer, ()) = join!(deletion, async {
        hold.arrived().await;
        let merged = merge(&app).begin(id(&alice), id(&bob), None).await;
        assert_eq!(merged.unwrap(), Progress::Done);
        drop(hold);
    });
    answer.fails(409, "conflict");
    // What alice was is bob's now.
    assert_eq!(app.log_in("alice").await.user_id(), bob.user_id());
    let again = app.api.delete_account(&alice.access).await;
    again.fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_continue_a_merge_that_stopped() {
    let app = start(Redis).await;
    let root = app.administrator("root").await;
    for round in 0..2 {
        let alice = with_everything(&app, &format!("alice{round}")).await;
        let bob = app.log_in(&format!("bob{round}")).await;
        let saga = stop(&app, &alice, &bob).await;
        if round == 0 {
            let resumed = app.api.resume_saga(&root.access, &saga).await;
            assert_eq!(resumed.ok(200)["status"], "done");
        } else {
            let version = profile(&app, &bob).await["version"].as_n().unwrap().clone();
            let version: u64 = version.parse().unwrap();
            // A change first brings the merge to its end, which makes another version.
            let body = json!({"version": version, "nickname": "小明"});
            let changed = app
                .api
                .change_user(&root.access, &bob.user_id(), &body)
                .await;
            changed.fails(409, "conflict");
        }
        assert_gone(&app, &alice).await;
        app.api.info(&bob.access).await.ok(200);
    }
}

/// A merge whose process can't end the sessions of the account that ends. Its id.
async fn stop(app: &TestApp, from: &Tokens, into: &Tokens) -> String {
    let (front, _) = Front::of(app).await;
    front.breaks_only("SESSION#", "UpdateItem", Fault::Fails);
    let instance = Instance::new(
        app.env_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &front.url())]),
        Clock::Manual(app.clock.clone()),
        Random::System,
    );
    let merge = instance.account_merge();
    let error = merge.begin(id(from), id(into), None).await.unwrap_err();
    assert!(matches!(error, MergeError::Saga(_)), "{error:?}");
    for tokens in [from, into] {
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
    }
    let sagas = app.table.items_under("SAGA#").await;
    let mut unfinished = sagas.iter().filter(|saga| !saga.contains_key("outcome"));
    unfinished.next().unwrap()["id"].as_s().unwrap().clone()
}

/// Something that is used up by a merge: without it nothing begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_begins_only_with_its_proof() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let key = |name: &str| dynamo::key(name, name);
    let proof = || MergeProof {
        ticket: Write::Delete(key("TICKET"), Condition::exists()),
        number: Write::Check(key("NUMBER"), Condition::exists()),
    };
    let merge = merge(&app);
    for missing in ["TICKET", "NUMBER"] {
        let before = app.rows().await;
        let refused = merge.begin(id(&alice), id(&bob), Some(proof())).await;
        assert!(
            matches!(refused, Err(MergeError::ProofFailed)),
            "{refused:?}"
        );
        assert!(app.rows().await == before, "rows were written");
        for tokens in [&alice, &bob] {
            app.api.info(&tokens.access).await.ok(200);
        }
        let put = app.table.client().put_item().table_name(TABLE);
        let put = put.set_item(Some(key(missing)));
        put.send().await.unwrap();
    }
    let done = merge.begin(id(&alice), id(&bob), Some(proof())).await;
    assert_eq!(done.unwrap(), Progress::Done);
    assert!(app.table.item("TICKET", "TICKET").await.is_none());
    let again = merge.begin(id(&alice), id(&bob), Some(proof())).await;
    assert!(matches!(again, Err(MergeError::ProofFailed)), "{again:?}");
}

/// A login that had begun before the merge leaves nothing with the account that ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_began_before_leaves_no_session() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let (front, slow) = Front::of(&app).await;
    let code = app.code("alice");
    let hold = front.hold("PutItem");
    let (login, ()) = join!(slow.login(&code), async {
        hold.arrived().await;
        let merged = merge(&app).begin(id(&alice), id(&bob), None).await;
        assert_eq!(merged.unwrap(), Progress::Done);
        drop(hold);
    });
    assert_ne!(login.data()["user"]["id"], alice.user_id(), "{login:?}");
    assert_gone(&app, &alice).await;
    assert_eq!(app.log_in("alice").await.user_id(), bob.user_id());
}

/// What was acknowledged is with the survivor; a number is the one's whose row says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_during_a_merge_lose_nothing_that_was_acknowledged() {
    let app = start(Redis).await;
    for round in 0..8 {
        let names = [format!("alice{round}"), format!("bob{round}")];
        let (alice, bob) = (app.log_in(&names[0]).await, app.log_in(&names[1]).await);
        let code = |name: &String| app.wechat.phone_code(name, Some(APP_ID)).unwrap();
        let (of_alice, of_bob) = (code(&names[0]), code(&names[1]));
        let merge = merge(&app);
        let nickname = json!({"nickname": "小明"});
        let (merged, agreed, changed, bound, other_bound, refreshed) = join!(
            merge.begin(id(&alice), id(&bob), None),
            app.api.agree(&alice.access, "privacy", 3),
            app.api.change(&alice.access, &nickname),
            app.api.bind_phone(&alice.access, &of_alice),
            app.api.bind_phone(&bob.access, &of_bob),
            app.api.refresh(&alice.refresh),
        );
        assert_eq!(merged.unwrap(), Progress::Done);
        assert_gone(&app, &alice).await;
        let again = app.log_in(&names[0]).await;
        assert_eq!(again.user_id(), bob.user_id());
        let info = app.api.info(&again.access).await;
        let info = info.ok(200);
        if agreed.status == 200 {
            assert_eq!(info["consents"]["privacy"], 3, "{info}");
        }
        if changed.status == 200 {
            assert_eq!(info["nickname"], "小明");
        }
        if bound.status == 200 || other_bound.status == 200 {
            assert_ne!(info["phone"], json!(null));
        }
        for answer in [&agreed, &changed, &bound, &other_bound, &refreshed] {
            assert!([200, 401, 404].contains(&answer.status), "{answer:?}");
        }
        let rows = app.rows().await;
        for ((pk, _), row) in rows.iter().filter(|((_, sk), _)| sk == "OWNER") {
            let owner = format!("USER#{}", row["uid"].as_s().unwrap());
            let profile = &rows[&(owner, "PROFILE".to_owned())];
            assert_eq!(profile["phoneClaim"].as_s().unwrap(), pk);
        }
    }
}
