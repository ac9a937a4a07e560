//! A number that another user has: tickets, and what can be done with them.

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    http::Answer,
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, TestAppBuilder, Tokens,
    },
    wire_proxy,
};
use futures_util::join;
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::UserChange;

use crate::dynamodb_faults::{Fault, Front};

const NUMBER: &str = "13900139000";
const A_DAY: i64 = 24 * 60 * 60;

/// Alice has a number, which later is bob's.
struct Conflict {
    app: TestApp,
    alice: Tokens,
    bob: Tokens,
}

impl Conflict {
    /// Alice bound the number this many days ago.
    async fn after_days(state: SharedState, days: i64) -> Self {
        Self::with(state, days, |app| app).await
    }

    async fn with(
        state: SharedState,
        days: i64,
        configure: impl FnOnce(TestAppBuilder) -> TestAppBuilder,
    ) -> Self {
        let app = configure(TestApp::builder(state)).start().await;
        for person in ["alice", "bob"] {
            let change = UserChange {
                phone: Some(NUMBER.to_owned()),
                ..UserChange::default()
            };
            app.wechat.change_user(person, change).unwrap();
        }
        let alice = app.log_in("alice").await;
        bind(&app, "alice", &alice).await.ok(200);
        app.clock.advance_seconds(days * A_DAY);
        let bob = app.log_in("bob").await;
        Self { app, alice, bob }
    }

    /// What bob is offered.
    async fn offer(&self) -> (String, String) {
        let answer = bind(&self.app, "bob", &self.bob).await;
        offered(answer.fails(409, "phone_taken"))
    }

    async fn resolve(&self, ticket: &str, choice: &str) -> Answer {
        resolve(&self.app, &self.bob, ticket, choice).await
    }

    async fn phone_of(&self, tokens: &Tokens) -> Value {
        let pk = format!("USER#{}", tokens.user_id());
        let row = self.app.table.item(&pk, "PROFILE").await.unwrap();
        let phone = row.get("phone");
        phone.map_or(Value::Null, |phone| phone.as_s().unwrap().clone().into())
    }

    /// The number is one user's: in their profile, and in its own row.
    async fn assert_is_of(&self, owner: &Tokens, other: &Tokens) {
        let rows = self.app.rows().await;
        let claims: Vec<_> = rows.iter().filter(|((_, sk), _)| sk == "OWNER").collect();
        let [((pk, _), claim)] = claims[..] else {
            panic!("one number: {claims:?}");
        };
        assert_eq!(claim["uid"].as_s().unwrap(), &owner.user_id());
        let profile =
            |tokens: &Tokens| &rows[&(format!("USER#{}", tokens.user_id()), "PROFILE".to_owned())];
        assert_eq!(profile(owner)["phoneClaim"].as_s().unwrap(), pk);
        assert!(!profile(other).contains_key("phoneClaim"));
        assert_eq!(self.phone_of(owner).await, NUMBER);
        assert_eq!(self.phone_of(other).await, Value::Null);
    }
}

async fn bind(app: &TestApp, person: &str, tokens: &Tokens) -> Answer {
    let code = app.wechat.phone_code(person, Some(APP_ID)).unwrap();
    app.api.bind_phone(&tokens.access, &code).await
}

async fn resolve(app: &TestApp, tokens: &Tokens, ticket: &str, choice: &str) -> Answer {
    app.api.resolve_phone(&tokens.access, ticket, choice).await
}

/// The ticket and the choice of an offer.
#[track_caller]
fn offered(data: &Value) -> (String, String) {
    let members = data.as_object().unwrap();
    assert_eq!(members.len(), 3, "{data}");
    assert_eq!(data["expiresIn"], 600);
    let text = |name: &str| data[name].as_str().unwrap().to_owned();
    let ticket = text("ticket");
    assert_eq!(ticket.len(), 43, "256 bits in base64url");
    (ticket, text("choice"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_user_who_is_long_gone_can_be_taken(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (ticket, choice) = conflict.offer().await;
    assert_eq!(choice, "take");
    // Nothing happens without the ticket.
    conflict.assert_is_of(&conflict.alice, &conflict.bob).await;
    let answer = conflict.resolve(&ticket, "take").await;
    let user = answer.ok(200);
    assert_eq!(user["id"], conflict.bob.user_id());
    assert_eq!(
        (&user["phone"], &user["version"]),
        (&json!(NUMBER), &json!(2))
    );
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
    let app = &conflict.app;
    assert_eq!(app.api.info(&conflict.bob.access).await.ok(200), user);
    // The other user is still there, without a number; no cache says otherwise.
    let login = app.api.login(&app.code("alice")).await;
    assert_eq!(login.ok(200)["user"]["id"], conflict.alice.user_id());
    assert_eq!(login.data()["user"]["phone"], Value::Null);
    // Nothing is left of the ticket.
    assert_eq!(app.count("PHONE_TICKET#").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_number_of_who_takes_one_is_free(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let app = &conflict.app;
    let number = |phone: &str| UserChange {
        phone: Some(phone.to_owned()),
        ..UserChange::default()
    };
    app.wechat
        .change_user("bob", number("13900139001"))
        .unwrap();
    bind(app, "bob", &conflict.bob).await.ok(200);
    app.wechat.change_user("bob", number(NUMBER)).unwrap();
    let (ticket, _) = conflict.offer().await;
    conflict.resolve(&ticket, "take").await.ok(200);
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
}

#[rstest]
#[case::on_the_last_day(90, "merge")]
#[case::a_day_later(91, "take")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_depends_on_when_the_other_user_was_active(
    #[case] days: i64,
    #[case] choice: &str,
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, days).await;
    assert_eq!(conflict.offer().await.1, choice);
    let other = [("PHONE_RECYCLE_DAYS", "7")];
    let api = conflict.app.another_instance_with(&other).await;
    let code = conflict.app.wechat.phone_code("bob", Some(APP_ID)).unwrap();
    let answer = api.bind_phone(&conflict.bob.access, &code).await;
    assert_eq!(offered(answer.fails(409, "phone_taken")).1, "take");
}

/// The day that the number's row says.
async fn proven_on(app: &TestApp) -> Option<String> {
    let rows = app.rows().await;
    let mut numbers = rows.iter().filter(|((_, sk), _)| sk == "OWNER");
    let (_, row) = numbers.next().unwrap();
    assert!(numbers.next().is_none(), "one number: {rows:?}");
    row.get("provenOn").map(|day| day.as_s().unwrap().clone())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_day_of_the_last_tap_is_recorded_and_moves_with_the_number(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 0).await;
    let (app, alice) = (&conflict.app, &conflict.alice);
    let known = async || proven_on(app).await.unwrap();
    assert_eq!(known().await, "2026-11-23");
    app.clock.advance_seconds(A_DAY);
    let alice_again = app.log_in("alice").await;
    let again = bind(app, "alice", &alice_again).await;
    // No new version of the profile.
    assert_eq!(again.ok(200)["version"], 2);
    assert_eq!(known().await, "2026-11-24");
    // Another user's tap is none of its owner's.
    app.clock.advance_seconds(A_DAY);
    let bob = app.log_in("bob").await;
    let answer = bind(app, "bob", &bob).await;
    let (ticket, choice) = offered(answer.fails(409, "phone_taken"));
    assert_eq!((&*choice, &*known().await), ("merge", "2026-11-24"));
    let merged = resolve(app, &bob, &ticket, &choice).await;
    assert_eq!(merged.ok(200)["user"]["id"], alice.user_id());
    assert_eq!(known().await, "2026-11-24");
    // Taken by somebody who shares it.
    let carol = UserChange {
        phone: Some(NUMBER.to_owned()),
        ..UserChange::default()
    };
    app.wechat.change_user("carol", carol).unwrap();
    app.clock.advance_seconds(200 * A_DAY);
    let carol = app.log_in("carol").await;
    let answer = bind(app, "carol", &carol).await;
    let (ticket, choice) = offered(answer.fails(409, "phone_taken"));
    resolve(app, &carol, &ticket, &choice).await.ok(200);
    assert_eq!((&*choice, &*known().await), ("take", "2027-06-13"));
    let export = app.api.export(&carol.access, None).await;
    assert_eq!(export.ok(200)["phoneNumbers"][0]["provenOn"], "2027-06-13");
}

#[rstest]
#[case::on_the_last_day(30, Some("merge"))]
#[case::a_day_later(31, None)]
#[case::whose_owner_is_gone(91, Some("take"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_offered_as_long_as_its_number_is_proven(
    #[case] days: i64,
    #[case] choice: Option<&str>,
    #[values(InProcess, Redis)] state: SharedState,
) {
    let bounded = |app: TestAppBuilder| app.set("PHONE_PROOF_DAYS", "30");
    let conflict = Conflict::with(state, days, bounded).await;
    match choice {
        Some(choice) => assert_eq!(conflict.offer().await.1, choice),
        None => assert_nothing_is_offered(&conflict).await,
    }
}

/// Of a number that was moved in, bound by an earlier version, or proven by a clock that ran ahead.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_which_no_day_is_known_is_not_proven(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let bounded = |app: TestAppBuilder| app.set("PHONE_PROOF_DAYS", "30");
    let conflict = Conflict::with(state, 0, bounded).await;
    let app = &conflict.app;
    let owners = app.table.items_under("PHONE#").await;
    for (day, is_proven) in [
        (None, false),
        (Some("2026-12-24"), false),
        (Some("2026-11-24"), true),
    ] {
        let mut row = owners[0].clone();
        row.remove("provenOn");
        row.extend(day.map(|day| ("provenOn".to_owned(), AttributeValue::S(day.to_owned()))));
        let put = app.table.client().put_item().table_name(TABLE);
        put.set_item(Some(row)).send().await.unwrap();
        if is_proven {
            assert_eq!(conflict.offer().await.1, "merge");
        } else {
            assert_nothing_is_offered(&conflict).await;
        }
    }
    let root = app.administrator("root").await;
    let open_id = app.wechat.open_id("carol", Some(APP_ID)).unwrap();
    let carol =
        json!({"phone": "13900139001", "identities": [{"appId": APP_ID, "openId": open_id}]});
    app.api.move_in(&root.access, &carol).await.ok(200);
    let owners = app.table.items_under("PHONE#").await;
    let unproven = owners.iter().filter(|row| !row.contains_key("provenOn"));
    assert_eq!((owners.len(), unproven.count()), (2, 1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_refreshed_is_activity(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::after_days(state, 0).await;
    let app = &conflict.app;
    let mut tokens = conflict.alice.clone();
    for _ in 0..4 {
        app.clock.advance_seconds(25 * A_DAY);
        tokens = Tokens::of(&app.api.refresh(&tokens.refresh).await);
    }
    // The login was 190 days ago, and the session's row has gone like any that has expired.
    app.clock.advance_seconds(90 * A_DAY);
    let pk = format!("USER#{}", tokens.user_id());
    let row = app.table.item(&pk, "PROFILE").await.unwrap();
    assert_eq!(row["lastActiveOn"].as_s().unwrap(), "2027-03-03");
    // No new version of the profile.
    assert_eq!(row["version"].as_n().unwrap(), "2");
    let session = format!("SESSION#{}", tokens.session_id());
    app.remove_row(&pk, &session).await;
    let bob = app.log_in("bob").await;
    let answer = bind(app, "bob", &bob).await;
    assert_eq!(offered(answer.fails(409, "phone_taken")).1, "merge");
    app.clock.advance_seconds(A_DAY);
    let bob = app.log_in("bob").await;
    let answer = bind(app, "bob", &bob).await;
    assert_eq!(offered(answer.fails(409, "phone_taken")).1, "take");
}

/// What alice's row says of her activity.
async fn last_active_on(app: &TestApp, tokens: &Tokens) -> Option<String> {
    let pk = format!("USER#{}", tokens.user_id());
    let row = app.table.item(&pk, "PROFILE").await.unwrap();
    row.get("lastActiveOn")
        .map(|day| day.as_s().unwrap().clone())
}

/// Who finds an old token could otherwise get an abandoned account by its number.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_is_refused_is_no_activity(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::after_days(state, 0).await;
    let app = &conflict.app;
    let (revoked, reused) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout(&revoked.access).await.ok(200);
    app.api.refresh(&reused.refresh).await.ok(200);
    app.clock.advance_seconds(2 * A_DAY);
    for (tokens, reason) in [(&revoked, "refresh_invalid"), (&reused, "refresh_reused")] {
        let answer = app.api.refresh(&tokens.refresh).await;
        answer.fails(401, reason);
        assert_eq!(last_active_on(app, tokens).await, None, "{reason}");
    }
    app.clock.advance_seconds(89 * A_DAY);
    for tokens in [&conflict.alice, &revoked, &reused] {
        let answer = app.api.refresh(&tokens.refresh).await;
        answer.fails(401, "refresh_invalid");
        assert_eq!(last_active_on(app, tokens).await, None);
    }
    let bob = app.log_in("bob").await;
    let answer = bind(app, "bob", &bob).await;
    assert_eq!(offered(answer.fails(409, "phone_taken")).1, "take");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_in_the_future_is_not_believed_and_is_overwritten(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let app = &conflict.app;
    let alice = app.log_in("alice").await;
    app.clock.advance_seconds(25 * A_DAY);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&format!("USER#{}", alice.user_id())))
        .key("sk", text("PROFILE"));
    let update = update.update_expression("SET lastActiveOn = :day");
    let update = update.expression_attribute_values(":day", text("2035-01-01"));
    update.send().await.unwrap();
    app.evict_profile(&alice.user_id()).await;
    let refreshed = Tokens::of(&app.api.refresh(&alice.refresh).await);
    let day = last_active_on(app, &refreshed).await;
    assert_eq!(day.as_deref(), Some("2027-03-19"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activity_is_written_with_the_first_refresh_of_a_day(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).proxied().start().await;
    let mut tokens = app.log_in("alice").await;
    let mut updates = Vec::new();
    app.proxies().dynamodb.take_traffic();
    // Six hours apart, so that no cache knows what the row said before: 8:00, 14:00, 20:00, 2:00 …
    for _ in 0..6 {
        app.clock.advance_seconds(A_DAY / 4);
        app.evict_profile(&tokens.user_id()).await;
        tokens = Tokens::of(&app.api.refresh(&tokens.refresh).await);
        let commands = app.proxies().dynamodb.take_traffic().commands;
        updates.push(commands.iter().filter(|name| *name == "UpdateItem").count());
    }
    assert_eq!(updates.iter().filter(|count| **count == 2).count(), 1);
    assert!(
        updates.iter().all(|count| [1, 2].contains(count)),
        "{updates:?}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_succeeds_when_activity_can_not_be_written(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(A_DAY);
    front.breaks_only("lastActiveOn", "UpdateItem", Fault::Fails);
    let tokens = Tokens::of(&api.refresh(&tokens.refresh).await);
    assert!(front.heal() > 0, "the write was tried");
    // The next one makes up for it.
    api.refresh(&tokens.refresh).await.ok(200);
    let pk = format!("USER#{}", tokens.user_id());
    let row = app.table.item(&pk, "PROFILE").await.unwrap();
    assert_eq!(row["lastActiveOn"].as_s().unwrap(), "2026-11-24");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_good_for_one_session_once(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::after_days(state, 91).await;
    let app = &conflict.app;
    let (ticket, _) = conflict.offer().await;
    let (carol, bobs_other) = (app.log_in("carol").await, app.log_in("bob").await);
    let invalid = async |tokens: &Tokens, ticket: &str, choice: &str| {
        let answer = resolve(app, tokens, ticket, choice).await;
        assert_eq!(answer.fails(409, "ticket_invalid"), &Value::Null);
    };
    for forged in ["", "x", &ticket[1..], &"A".repeat(43), &"A".repeat(10_000)] {
        invalid(&conflict.bob, forged, "take").await;
    }
    invalid(&carol, &ticket, "take").await;
    invalid(&bobs_other, &ticket, "take").await;
    invalid(&conflict.bob, &ticket, "merge").await;
    let digest = app.rows().await;
    let digest = digest
        .iter()
        .find(|((_, sk), _)| sk.starts_with("PHONE_TICKET#"));
    invalid(
        &conflict.bob,
        digest.unwrap().1["digest"].as_s().unwrap(),
        "take",
    )
    .await;
    conflict.resolve(&ticket, "take").await.ok(200);
    invalid(&conflict.bob, &ticket, "take").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_expires_and_a_newer_one_replaces_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (first, _) = conflict.offer().await;
    let (second, _) = conflict.offer().await;
    assert_ne!(first, second);
    assert_eq!(conflict.app.count("PHONE_TICKET#").await, 1);
    let answer = conflict.resolve(&first, "take").await;
    answer.fails(409, "ticket_invalid");
    conflict.app.clock.advance_seconds(600);
    let answer = conflict.resolve(&second, "take").await;
    answer.fails(409, "ticket_invalid");
    let (third, _) = conflict.offer().await;
    conflict.app.clock.advance_seconds(599);
    conflict.resolve(&third, "take").await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_is_one_of_two_words(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::after_days(state, 91).await;
    let (ticket, _) = conflict.offer().await;
    for choice in ["", "Take", "give"] {
        conflict
            .resolve(&ticket, choice)
            .await
            .fails_at(&["choice"]);
    }
    conflict.resolve(&ticket, "take").await.ok(200);
}

/// Asserts that bob is told that the number is taken, and nothing else.
async fn assert_nothing_is_offered(conflict: &Conflict) {
    let answer = bind(&conflict.app, "bob", &conflict.bob).await;
    assert_eq!(answer.fails(409, "phone_taken"), &Value::Null);
    assert_eq!(conflict.app.count("PHONE_TICKET#").await, 0);
}

#[rstest]
#[case::recently_active(1)]
#[case::long_gone(91)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_a_disabled_user_stays_theirs(
    #[case] days: i64,
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, days).await;
    conflict.app.disable(&conflict.alice.user_id()).await;
    assert_nothing_is_offered(&conflict).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_offered_while_the_other_account_is_being_deleted(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::with(state, 0, |app| app.set("DELETION_COOLING_DAYS", "7")).await;
    let access = &conflict.alice.access;
    conflict.app.api.delete_account(access).await.ok(202);
    assert_nothing_is_offered(&conflict).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_becomes_or_ceases_to_be_an_administrator_by_a_number(
    #[values(InProcess, Redis)] state: SharedState,
) {
    for administrator in ["alice", "bob"] {
        let conflict = Conflict::after_days(state, 1).await;
        let tokens = match administrator {
            "alice" => &conflict.alice,
            _ => &conflict.bob,
        };
        conflict.app.set_role(&tokens.user_id(), "admin").await;
        assert_nothing_is_offered(&conflict).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_refuse_nothing_is_offered(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::with(state, 91, |app| app.set("PHONE_CONFLICT", "refuse")).await;
    assert_nothing_is_offered(&conflict).await;
    // Nor is a ticket accepted that was given out before.
    let before = [("PHONE_CONFLICT", "resolve")];
    let api = conflict.app.another_instance_with(&before).await;
    let code = conflict.app.wechat.phone_code("bob", Some(APP_ID)).unwrap();
    let access = &conflict.bob.access;
    let answer = api.bind_phone(access, &code).await;
    let (ticket, _) = offered(answer.fails(409, "phone_taken"));
    let answer = conflict.resolve(&ticket, "take").await;
    answer.fails(409, "ticket_invalid");
    api.resolve_phone(access, &ticket, "take").await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_says_nothing_about_the_other_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 1).await;
    let app = &conflict.app;
    let nickname = json!({"nickname": "小红"});
    let alice = app.log_in("alice").await;
    app.api.change(&alice.access, &nickname).await.ok(200);
    let answer = bind(app, "bob", &conflict.bob).await;
    let text = format!("{:?} {}", answer.headers, answer.body);
    for secret in [&alice.user_id(), "小红", NUMBER] {
        assert!(!text.contains(secret), "{text}");
    }
    // Nor does the row, once the other user is gone.
    app.api.delete_account(&alice.access).await.ok(200);
    assert_eq!(app.count("PHONE_TICKET#").await, 1);
    assert!(!format!("{:?}", app.rows().await).contains(&alice.user_id()));
}

/// What happens between the offer and its use.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    /// The other user comes back.
    LogsIn,
    /// The other user gets another number.
    Rebinds,
    /// The other user deletes the account.
    Deletes,
    /// An operator disables the other user.
    Disabled,
    /// An operator gives the number to nobody.
    Released,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_for_the_account_as_it_was(
    #[values(InProcess, Redis)] state: SharedState,
    #[values(
        Meanwhile::LogsIn,
        Meanwhile::Rebinds,
        Meanwhile::Deletes,
        Meanwhile::Disabled,
        Meanwhile::Released
    )]
    meanwhile: Meanwhile,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let app = &conflict.app;
    let (ticket, _) = conflict.offer().await;
    match meanwhile {
        Meanwhile::LogsIn => drop(app.log_in("alice").await),
        Meanwhile::Rebinds => {
            let change = UserChange {
                phone: Some("13900139001".to_owned()),
                ..UserChange::default()
            };
            app.wechat.change_user("alice", change).unwrap();
            let alice = app.log_in("alice").await;
            bind(app, "alice", &alice).await.ok(200);
        }
        Meanwhile::Deletes => {
            let alice = app.log_in("alice").await;
            app.api.delete_account(&alice.access).await.ok(200);
        }
        Meanwhile::Disabled => app.disable(&conflict.alice.user_id()).await,
        Meanwhile::Released => {
            let released = local::release_phone(app.env(), NUMBER).await;
            assert_eq!(released.unwrap().len(), 1);
        }
    }
    let before = app.rows().await;
    let answer = conflict.resolve(&ticket, "take").await;
    answer.fails(409, "ticket_invalid");
    assert_eq!(app.rows().await, before, "nothing was written");
    if ![Meanwhile::LogsIn, Meanwhile::Disabled].contains(&meanwhile) {
        bind(app, "bob", &conflict.bob).await.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_has_no_ticket(#[values(InProcess, Redis)] state: SharedState) {
    let conflict = Conflict::after_days(state, 91).await;
    let (ticket, _) = conflict.offer().await;
    conflict.app.api.logout(&conflict.bob.access).await.ok(200);
    let answer = conflict.resolve(&ticket, "take").await;
    answer.fails(401, "session_revoked");
    let again = conflict.app.log_in("bob").await;
    let answer = resolve(&conflict.app, &again, &ticket, "take").await;
    answer.fails(409, "ticket_invalid");
    conflict.assert_is_of(&conflict.alice, &conflict.bob).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resolving_requires_a_session_of_an_active_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (ticket, choice) = conflict.offer().await;
    let body = json!({"ticket": ticket, "choice": choice});
    let request = conflict
        .app
        .api
        .request("POST", "/api/v1/user/phone/resolve");
    let answer = request.json(&body).send().await;
    answer.fails(401, "token_missing");
    conflict.app.disable(&conflict.bob.user_id()).await;
    let answer = conflict.resolve(&ticket, &choice).await;
    answer.fails(403, "user_disabled");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_used_twice_at_once_works_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    for _ in 0..5 {
        let conflict = Conflict::after_days(state, 91).await;
        let (ticket, _) = conflict.offer().await;
        let (one, two) = join!(
            conflict.resolve(&ticket, "take"),
            conflict.resolve(&ticket, "take")
        );
        let (won, lost) = if one.status == 200 {
            (one, two)
        } else {
            (two, one)
        };
        assert_eq!(won.ok(200)["phone"], NUMBER);
        lost.fails(409, "ticket_invalid");
        conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_users_with_tickets_for_one_number_one_gets_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let app = &conflict.app;
    let change = UserChange {
        phone: Some(NUMBER.to_owned()),
        ..UserChange::default()
    };
    app.wechat.change_user("carol", change).unwrap();
    let carol = app.log_in("carol").await;
    let (bobs, _) = conflict.offer().await;
    let (carols, _) = offered(bind(app, "carol", &carol).await.fails(409, "phone_taken"));
    let (bob, carol) = join!(
        conflict.resolve(&bobs, "take"),
        resolve(app, &carol, &carols, "take")
    );
    let (won, lost) = if bob.status == 200 {
        (bob, carol)
    } else {
        (carol, bob)
    };
    assert_eq!(won.ok(200)["phone"], NUMBER);
    lost.fails(409, "ticket_invalid");
}

#[rstest]
#[case::throttled(Fault::Throttled)]
#[case::fails(Fault::Fails)]
#[case::cancelled(Fault::Cancelled)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_could_not_be_taken_can_be_taken_later(
    #[case] fault: Fault,
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (front, api) = Front::of(&conflict.app).await;
    let (ticket, _) = conflict.offer().await;
    front.breaks_only("", "TransactWriteItems", fault);
    let access = &conflict.bob.access;
    let answer = api.resolve_phone(access, &ticket, "take").await;
    answer.fails(503, "unavailable");
    conflict.assert_is_of(&conflict.alice, &conflict.bob).await;
    front.heal();
    api.resolve_phone(access, &ticket, "take").await.ok(200);
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_of_the_table_is_seen_by_asking_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (front, api) = Front::of(&conflict.app).await;
    let (ticket, _) = conflict.offer().await;
    front.breaks("TransactWriteItems", Fault::Lost, 1);
    let access = &conflict.bob.access;
    let answer = api.resolve_phone(access, &ticket, "take").await;
    front.heal();
    // The table knows the transaction that is sent again, or the ticket is used up.
    assert!([200, 409].contains(&answer.status), "{answer:?}");
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
    assert_eq!(api.info(access).await.ok(200)["phone"], NUMBER);
    bind(&conflict.app, "bob", &conflict.bob).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_needs_no_redis() {
    let conflict = Conflict::with(Redis, 91, TestAppBuilder::proxied).await;
    let proxy = conflict.app.proxies().redis.as_ref().unwrap();
    proxy.set(wire_proxy::Fault::Refuse).await;
    proxy.reset();
    let (ticket, _) = conflict.offer().await;
    conflict.resolve(&ticket, "take").await.ok(200);
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_can_not_be_stored_is_not_given_out(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let conflict = Conflict::after_days(state, 91).await;
    let (front, api) = Front::of(&conflict.app).await;
    front.breaks_only("PHONE_TICKET#", "TransactWriteItems", Fault::Fails);
    let code = conflict.app.wechat.phone_code("bob", Some(APP_ID)).unwrap();
    let access = &conflict.bob.access;
    api.bind_phone(access, &code)
        .await
        .fails(503, "unavailable");
    front.heal();
    // WeChat is not asked about the code again.
    let answer = api.bind_phone(access, &code).await;
    let (ticket, choice) = offered(answer.fails(409, "phone_taken"));
    api.resolve_phone(access, &ticket, &choice).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_moves_while_data_keys_are_rotated(
    #[values(InProcess, Redis)] state: SharedState,
) {
    const NEW: &str = "k2:1f1d3c5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c";
    let conflict = Conflict::after_days(state, 91).await;
    let keys = conflict.app.env();
    let both = format!("{NEW},{}", keys.get("DATA_KEYS").unwrap());
    let rotated = conflict
        .app
        .another_instance_with(&[("DATA_KEYS", &both)])
        .await;
    let (ticket, _) = conflict.offer().await;
    let access = &conflict.bob.access;
    rotated.resolve_phone(access, &ticket, "take").await.ok(200);
    conflict.assert_is_of(&conflict.bob, &conflict.alice).await;
}
