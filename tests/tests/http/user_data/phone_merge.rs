//! A number that another user has who was active of late: the two accounts become one.

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, TestAppBuilder, Tokens, capture,
    },
    wire_proxy,
};
use futures_util::join;
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, instance::Instance, random::Random, values::Phone};
use wechat_simulator::UserChange;

use crate::dynamodb_faults::{Fault, Front};

const NUMBER: &str = "13900139000";

/// Alice has the number that bob shares. He is in the other mini-program.
struct TwoAccounts {
    app: TestApp,
    alice: Tokens,
    bob: Tokens,
}

impl TwoAccounts {
    async fn start(state: SharedState) -> Self {
        Self::with(state, |app| app).await
    }

    async fn with(
        state: SharedState,
        configure: impl FnOnce(TestAppBuilder) -> TestAppBuilder,
    ) -> Self {
        let app = TestApp::builder(state).set("CONSENTS", "privacy:3");
        let app = configure(app).start().await;
        for person in ["alice", "bob"] {
            let change = UserChange {
                phone: Some(NUMBER.to_owned()),
                ..UserChange::default()
            };
            app.wechat.change_user(person, change).unwrap();
        }
        let alice = app.log_in("alice").await;
        let code = app.wechat.phone_code("alice", Some(APP_ID)).unwrap();
        app.api.bind_phone(&alice.access, &code).await.ok(200);
        let bob = log_in_bob(&app).await;
        let profile = json!({"nickname": "小博", "gender": 1});
        app.api.change(&bob.access, &profile).await.ok(200);
        Self { app, alice, bob }
    }

    /// The ticket for a merge.
    async fn ticket(&self) -> String {
        let code = self.app.wechat.phone_code("bob", Some(OTHER_APP_ID));
        let answer = self
            .app
            .api
            .bind_phone(&self.bob.access, &code.unwrap())
            .await;
        let data = answer.fails(409, "phone_taken");
        assert_eq!(data["choice"], "merge");
        data["ticket"].as_str().unwrap().to_owned()
    }

    async fn merge(&self, api: &Api, ticket: &str) -> Answer {
        api.resolve_phone(&self.bob.access, ticket, "merge").await
    }

    /// Bob is in alice's account now, and nothing is left of his.
    async fn assert_merged(&self) {
        let code = self.app.code_in(OTHER_APP_ID, "bob");
        let login = self.app.api.login_in(OTHER_APP_ID, &code).await;
        assert_eq!(login.ok(200)["user"]["id"], self.alice.user_id());
        assert_eq!(login.data()["user"]["phone"], NUMBER);
        assert_eq!(login.data()["isNewUser"], false);
        let rows = format!("{:?}", self.app.rows().await);
        assert!(!rows.contains(&self.bob.user_id()), "{rows}");
        let info = self.app.api.info(&self.bob.access).await;
        info.fails(401, "session_revoked");
    }

    /// Both accounts are as they were.
    async fn assert_apart(&self) {
        for (tokens, phone) in [(&self.alice, json!(NUMBER)), (&self.bob, Value::Null)] {
            let info = self.app.api.info(&tokens.access).await;
            let user = info.ok(200);
            assert_eq!(
                (&user["id"], &user["phone"]),
                (&json!(tokens.user_id()), &phone)
            );
        }
    }
}

async fn log_in_bob(app: &TestApp) -> Tokens {
    let code = app.code_in(OTHER_APP_ID, "bob");
    Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_answers_like_a_login_to_the_other_account(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    two.assert_apart().await;
    let answer = two.merge(&two.app.api, &ticket).await;
    let login = answer.ok(200);
    let user = &login["user"];
    assert_eq!(user["id"], two.alice.user_id());
    // What the other account lacks is taken over.
    assert_eq!(
        (&user["phone"], &user["nickname"]),
        (&json!(NUMBER), &json!("小博"))
    );
    assert_eq!(
        (&user["status"], &login["isNewUser"]),
        (&json!("active"), &json!(false))
    );
    let missing = json!([{"document": "privacy", "version": 3}]);
    assert_eq!(login["consentsMissing"], missing);
    let tokens = Tokens::of(&answer);
    assert_eq!(tokens.claims()["aud"], OTHER_APP_ID);
    assert_eq!(
        &two.app.api.info(&tokens.access).await.ok(200)["id"],
        &user["id"]
    );
    let refreshed = Tokens::of(&two.app.api.refresh(&tokens.refresh).await);
    // The number is theirs: another tap changes nothing.
    let code = two
        .app
        .wechat
        .phone_code("bob", Some(OTHER_APP_ID))
        .unwrap();
    let again = two.app.api.bind_phone(&refreshed.access, &code).await;
    assert_eq!(again.ok(200)["id"], two.alice.user_id());
    two.assert_merged().await;
    // Alice's own session goes on.
    two.app.api.info(&two.alice.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_by_what_a_merge_began() {
    let log_capture = capture();
    let two = TwoAccounts::start(Redis).await;
    let ticket = two.ticket().await;
    two.merge(&two.app.api, &ticket).await.ok(200);
    let logs = log_capture.logs();
    for audit in ["merge_begun", "account_merged"] {
        let mut lines = logs.json_where("audit", &audit.into());
        lines.retain(|line| line["user_id"] == two.bob.user_id());
        assert_eq!(lines.len(), 1, "{audit}: {lines:?}");
        assert_eq!(lines[0]["into"], two.alice.user_id());
        if audit == "merge_begun" {
            assert_eq!(lines[0]["by"], "ticket");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_ticket_is_for_a_merge_and_works_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    let access = &two.bob.access;
    let take = two.app.api.resolve_phone(access, &ticket, "take").await;
    take.fails(409, "ticket_invalid");
    two.merge(&two.app.api, "x")
        .await
        .fails(409, "ticket_invalid");
    two.assert_apart().await;
    two.merge(&two.app.api, &ticket).await.ok(200);
    let again = two.merge(&two.app.api, &ticket).await;
    again.fails(401, "session_revoked");
    two.assert_merged().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_at_the_same_time_are_one(#[values(InProcess, Redis)] state: SharedState) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    let other = two.app.another_instance().await;
    let (one, two_) = join!(two.merge(&two.app.api, &ticket), two.merge(&other, &ticket));
    let statuses = [one.status, two_.status];
    for answer in [&one, &two_] {
        // The later one continues it, finds it under way, or its session or ticket gone.
        assert!(
            [200, 202, 401, 409, 503].contains(&answer.status),
            "{answer:?}"
        );
    }
    assert!(
        statuses.iter().any(|status| [200, 202].contains(status)),
        "{one:?} {two_:?}"
    );
    two.assert_merged().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_account_changes_between_offer_and_merge(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    let role = async |role: &str| two.app.set_role(&two.alice.user_id(), role).await;
    role("admin").await;
    two.merge(&two.app.api, &ticket)
        .await
        .fails(409, "ticket_invalid");
    role("user").await;
    two.app.disable(&two.alice.user_id()).await;
    two.merge(&two.app.api, &ticket)
        .await
        .fails(409, "ticket_invalid");
    two.app.enable(&two.alice.user_id()).await;
    // Without Redis, time has passed.
    let ticket = two.ticket().await;
    two.merge(&two.app.api, &ticket).await.ok(200);
    two.assert_merged().await;
}

/// By an operator, when the merge is about to begin: the caller's number is no longer what the
/// account is found by.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_released_as_a_merge_begins_merges_nobody(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    let (front, slow) = Front::of(&two.app).await;
    let hold = front.hold_only("SAGA#", "TransactWriteItems");
    let (answer, ()) = join!(two.merge(&slow, &ticket), async {
        hold.arrived().await;
        let clock = Clock::Manual(two.app.clock.clone());
        let instance = Instance::new(two.app.env(), clock, Random::System);
        let number = Phone::from_stored(NUMBER.into());
        let owners = instance.phone_numbers().release(&number).await.unwrap();
        assert_eq!(owners, [two.alice.user_id().parse().unwrap()]);
        drop(hold);
    });
    answer.fails(409, "ticket_invalid");
    for tokens in [&two.alice, &two.bob] {
        let info = two.app.api.info(&tokens.access).await;
        assert_eq!(info.ok(200)["id"], tokens.user_id());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_account_is_deleted_between_offer_and_merge(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    two.app.api.delete_account(&two.alice.access).await.ok(200);
    two.merge(&two.app.api, &ticket)
        .await
        .fails(409, "ticket_invalid");
    let code = two
        .app
        .wechat
        .phone_code("bob", Some(OTHER_APP_ID))
        .unwrap();
    let bound = two.app.api.bind_phone(&two.bob.access, &code).await;
    assert_eq!(bound.ok(200)["id"], two.bob.user_id());
}

/// Each operation that a merge needs fails for good: it ends in one account, or in two as they were.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_stopped_is_completed_by_the_persons_next_login(
    #[values(InProcess, Redis)] state: SharedState,
    #[values("PHONE_TICKET#", "WX#", "CONSENT#", "SESSION#")] only: &'static str,
    #[values("TransactWriteItems", "UpdateItem", "DeleteItem", "PutItem")] operation: &'static str,
    #[values(Fault::Fails, Fault::Lost)] fault: Fault,
) {
    let two = TwoAccounts::start(state).await;
    let ticket = two.ticket().await;
    let (front, broken) = Front::of(&two.app).await;
    front.breaks_only(only, operation, fault);
    let answer = two.merge(&broken, &ticket).await;
    front.heal();
    assert!([200, 202, 409, 503].contains(&answer.status), "{answer:?}");
    let bar = two
        .app
        .table
        .item(&format!("USER#{}", two.bob.user_id()), "PROFILE")
        .await;
    let has_begun = bar.is_none_or(|row| row["status"].as_s().unwrap() == "barred");
    if has_begun {
        two.assert_merged().await;
    } else {
        two.assert_apart().await;
        two.merge(&two.app.api, &ticket).await.ok(200);
        two.assert_merged().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_needs_no_redis() {
    let two = TwoAccounts::with(Redis, TestAppBuilder::proxied).await;
    let ticket = two.ticket().await;
    let proxy = two.app.proxies().redis.as_ref().unwrap();
    proxy.set(wire_proxy::Fault::Refuse).await;
    proxy.reset();
    let answer = two.merge(&two.app.api, &ticket).await;
    assert_eq!(answer.ok(200)["user"]["id"], two.alice.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_with_a_phone_code_leads_to_a_merge(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let two = TwoAccounts::start(state).await;
    let phone = two.app.wechat.phone_code("bob", None).unwrap();
    let login = two
        .app
        .api
        .login_with_phone(&two.app.code("bob"), &phone)
        .await;
    let offer = &login.ok(200)["phone"];
    assert_eq!(
        (&offer["status"], &offer["choice"]),
        (&json!("taken"), &json!("merge"))
    );
    let access = Tokens::of(&login).access;
    let ticket = offer["ticket"].as_str().unwrap();
    let merged = two.app.api.resolve_phone(&access, ticket, "merge").await;
    assert_eq!(merged.ok(200)["user"]["id"], two.alice.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_was_moved_in_with_the_number_gets_the_account(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let administrator = app.administrator("root").await;
    let old = json!([{"appId": OTHER_APP_ID, "openId": "oOfTheOldMiniProgram"}]);
    let user = json!({"nickname": "小红", "phone": NUMBER, "identities": old});
    let moved_in = app.api.move_in(&administrator.access, &user).await;
    assert!(moved_in.status < 300, "{moved_in:?}");
    let id = moved_in.data()["id"].clone();
    let change = UserChange {
        phone: Some(NUMBER.to_owned()),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    let phone = app.wechat.phone_code("alice", None).unwrap();
    let login = app.api.login_with_phone(&app.code("alice"), &phone).await;
    let offer = &login.ok(200)["phone"];
    assert_eq!(offer["choice"], "merge");
    let access = Tokens::of(&login).access;
    let ticket = offer["ticket"].as_str().unwrap();
    let merged = app.api.resolve_phone(&access, ticket, "merge").await;
    assert_eq!(merged.ok(200)["user"]["id"], id);
    assert_eq!(merged.data()["user"]["nickname"], "小红");
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["user"]["id"], id);
}
