//! Pictures that are being checked when their account is barred: its deletion may be called off, and a
//! merge has a surviving account.

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
    upload::PNG,
};
use rstest::rstest;
use serde_json::Value;
use shared::{clock::Clock, ids::UserId, instance::Instance, random::Random, saga::Progress};

use super::{
    avatar_url, confirm, fetch, other_png, published, upload_rows, url_of,
    verdicts::{checking, push, push_in_vain, start, verdict},
};
use crate::dynamodb_faults::Front;

const A_WEEK: i64 = 7 * 24 * 60 * 60;

#[rstest]
#[case::called_off(true)]
#[case::carried_out(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_passes_in_the_cooling_time_is_shown_if_the_deletion_is_called_off(
    #[values(InProcess, Redis)] state: SharedState,
    #[case] is_called_off: bool,
) {
    let app = TestApp::builder(state).avatars().set("CONTENT_CHECK", "on");
    let app = app.set("DELETION_COOLING_DAYS", "7").start().await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    app.api.delete_account(&tokens.access).await.ok(202);
    push(&app, &passed).await;
    if is_called_off {
        let back = Tokens::of(&app.api.call_back(&app.code("alice")).await);
        let url = url_of(confirm(&app, &back, &form).await.ok(200));
        assert_eq!(avatar_url(&app, &back).await, url);
        assert_eq!(fetch(&url).await.body, PNG);
        assert_eq!(app.object_keys().len(), 1);
    } else {
        app.clock.advance_seconds(A_WEEK + 1);
        app.api.login(&app.code("alice")).await.ok(200);
        assert_eq!(
            (app.object_keys(), upload_rows(&app).await),
            (vec![], vec![])
        );
    }
}

fn id(tokens: &Tokens) -> UserId {
    tokens.user_id().parse().unwrap()
}

/// Merges the account of the first user into that of the second one, and does `meanwhile` when both are
/// barred and no picture has changed hands.
async fn merge(app: &TestApp, [from, into]: [&Tokens; 2], meanwhile: impl AsyncFnOnce()) {
    let (front, _) = Front::of(app).await;
    let env = app.env_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &front.url())]);
    let instance = Instance::new(env, Clock::Manual(app.clock.clone()), Random::System);
    let merge = instance.account_merge();
    let hold = front.hold_only("UPLOAD#", "Query");
    let merged = merge.begin(id(from), id(into), None);
    let during = async {
        hold.arrived().await;
        meanwhile().await;
        drop(hold);
    };
    let (merged, ()) = futures_util::join!(merged, during);
    assert_eq!(merged.unwrap(), Progress::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_survivors_picture_is_shown_that_passes_during_a_merge() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let (form, check) = checking(&app, &bob, PNG).await;
    let passed = verdict(&app, &check).await;
    merge(&app, [&alice, &bob], async || push(&app, &passed).await).await;
    let url = url_of(confirm(&app, &bob, &form).await.ok(200));
    assert_eq!(avatar_url(&app, &bob).await, url);
    assert_eq!(fetch(&url).await.body, PNG);
}

/// Its person has chosen it, and the account that survives shows none.
#[rstest]
#[case::a_verdict_during_the_merge(true)]
#[case::a_verdict_afterwards(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_without_a_picture_takes_over_the_one_that_is_being_checked(
    #[case] during_the_merge: bool,
) {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let (form, check) = checking(&app, &alice, PNG).await;
    let passed = verdict(&app, &check).await;
    let meanwhile = async || {
        if during_the_merge {
            assert_eq!(push_in_vain(&app.api, &passed).await, 409);
        }
    };
    merge(&app, [&alice, &bob], meanwhile).await;
    let rows = format!("{:?}", app.rows().await);
    assert!(!rows.contains(&alice.user_id()), "{rows}");
    assert_eq!(
        confirm(&app, &bob, &form).await.ok(202)["status"],
        "checking"
    );
    push(&app, &passed).await;
    let url = url_of(confirm(&app, &bob, &form).await.ok(200));
    assert_eq!(avatar_url(&app, &bob).await, url);
    assert_eq!(fetch(&url).await.body, PNG);
    app.api.delete_account(&bob.access).await.ok(200);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Survivor {
    ShowsOne,
    WaitsForOne,
}

/// What the surviving account chose itself counts.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_with_a_picture_takes_none_over(
    #[values(Survivor::ShowsOne, Survivor::WaitsForOne)] survivor: Survivor,
) {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let (own, own_check) = checking(&app, &bob, &other_png()).await;
    let own_passed = verdict(&app, &own_check).await;
    if survivor == Survivor::ShowsOne {
        push(&app, &own_passed).await;
    }
    let (form, check) = checking(&app, &alice, PNG).await;
    let passed = verdict(&app, &check).await;
    merge(&app, [&alice, &bob], async || {}).await;
    push(&app, &passed).await;
    if survivor == Survivor::WaitsForOne {
        assert_eq!(avatar_url(&app, &bob).await, Value::Null);
        push(&app, &own_passed).await;
    }
    let url = url_of(confirm(&app, &bob, &own).await.ok(200));
    assert_eq!(avatar_url(&app, &bob).await, url);
    assert_eq!(fetch(&url).await.body, other_png());
    confirm(&app, &bob, &form).await.fails(404, "not_found");
    assert_eq!(
        (app.object_keys().len(), upload_rows(&app).await.len()),
        (1, 2)
    );
}

/// The one that is shown changes hands, and the newer one, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_shown_changes_hands_with_the_next_one() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let (_, check) = checking(&app, &alice, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    let shown = avatar_url(&app, &alice).await;
    let (next, check) = checking(&app, &alice, &other_png()).await;
    let passed = verdict(&app, &check).await;
    merge(&app, [&alice, &bob], async || {}).await;
    assert_eq!(avatar_url(&app, &bob).await, shown);
    push(&app, &passed).await;
    let url = url_of(confirm(&app, &bob, &next).await.ok(200));
    assert_eq!(fetch(&url).await.body, other_png());
    assert_eq!(fetch(shown.as_str().unwrap()).await.status, 404);
    assert_eq!(app.object_keys().len(), 1);
}

/// Without checks nothing waits; what is shown changes hands as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_without_a_check_changes_hands() {
    let app = super::start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let url = published(&app, &alice, PNG).await;
    merge(&app, [&alice, &bob], async || {}).await;
    assert_eq!(avatar_url(&app, &bob).await, url);
}
