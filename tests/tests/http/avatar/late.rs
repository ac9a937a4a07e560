//! Verdicts that come when something went wrong before: too late, or after lost answers.

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    upload::PNG,
    wire_proxy,
};
use rstest::rstest;
use serde_json::Value;
use shared::{clock::Clock, instance::Instance, random::Random};
use wechat_simulator::RISKY_KEYWORD;

use super::{
    avatar_url, confirm,
    faults::stop_half_way,
    fetch, key, other_png, published, upload_rows, uploaded, url_of,
    verdicts::{checking, picture, push, push_in_vain, push_to, start, verdict},
};
use crate::dynamodb_faults::{ALWAYS, Fault, Front};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_was_shown_unchecked_is_taken_down_by_a_late_verdict(
    #[values(InProcess, Redis)] state: SharedState,
    #[values(false, true)] was_replaced: bool,
) {
    let app = TestApp::builder(state).avatars().set("CONTENT_CHECK", "on");
    let app = app.set("CONTENT_CHECK_ON_FAILURE", "allow").start().await;
    let tokens = app.log_in("alice").await;
    let content = picture(RISKY_KEYWORD);
    let (form, check) = checking(&app, &tokens, &content).await;
    app.clock.advance_seconds(1800);
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    let risky = app.wechat.media_verdict(&check, Some(&content)).unwrap();
    if was_replaced {
        let (_, check) = checking(&app, &tokens, PNG).await;
        let passed = verdict(&app, &check).await;
        push(&app, &passed).await;
    }
    let shown = avatar_url(&app, &tokens).await;
    push(&app, &risky).await;
    assert_eq!(fetch(&url).await.status, 404);
    if was_replaced {
        assert_eq!(avatar_url(&app, &tokens).await, shown);
        assert_eq!(fetch(shown.as_str().unwrap()).await.body, PNG);
        return;
    }
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
    confirm(&app, &tokens, &form).await.fails(404, "not_found");
}

/// A revocation clears the address, then the publication writes it, then the picture is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_deleted_leaves_no_address_behind() {
    let app = super::start(InProcess).await;
    let tokens = app.log_in("alice").await;
    published(&app, &tokens, PNG).await;
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    let user = tokens.user_id().parse().unwrap();
    assert_eq!(instance.avatars().remove_all(user).await.unwrap(), None);
    app.evict_profile(&tokens.user_id()).await;
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

/// WeChat was asked, and that could not be written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_no_verdict_leads_to_is_deleted() {
    let app = start(InProcess).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    front.breaks("TransactWriteItems", Fault::Throttled, ALWAYS);
    let answer = api.confirm_avatar(&tokens.access, key(&form)).await;
    answer.fails(503, "unavailable");
    front.heal();
    assert_eq!(app.object_keys(), [key(&form)]);
    confirm(&app, &tokens, &form).await.ok(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_whose_claim_lost_its_answer_is_checked() {
    let app = start(InProcess).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    front.breaks("UpdateItem", Fault::Lost, 1);
    let answer = api.confirm_avatar(&tokens.access, key(&form)).await;
    assert_eq!(answer.ok(202)["status"], "checking");
    assert_eq!(front.heal(), 2);
    let check = app.wechat.take_media_checks().remove(0);
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_lost_its_answer_deletes_the_picture() {
    let app = start(InProcess).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, &picture(RISKY_KEYWORD)).await;
    let risky = verdict(&app, &check).await;
    front.breaks_once(":refused", "UpdateItem", Fault::Lost);
    push_to(&api, &risky).await;
    assert_eq!(front.heal(), 2);
    assert_eq!(app.object_keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form)
        .await
        .fails(400, "content_risky");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_lost_its_answer_goes_on() {
    let app = super::start(InProcess).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let old = published(&app, &tokens, PNG).await;
    let form = uploaded(&app, &tokens, &other_png()).await;
    front.breaks_once(":removing", "UpdateItem", Fault::Lost);
    let answer = api.confirm_avatar(&tokens.access, key(&form)).await;
    url_of(answer.ok(200));
    assert_eq!(front.heal(), 2);
    assert_eq!(fetch(&old).await.status, 404);
    assert_eq!(upload_rows(&app).await.len(), 1);
}

/// WeChat's verdict was not waited for any longer, and comes just before the picture is shown.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_verdict_during_a_publication_ends_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).avatars().set("CONTENT_CHECK", "on");
    let app = app.set("CONTENT_CHECK_ON_FAILURE", "allow").start().await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let content = picture(RISKY_KEYWORD);
    let (form, check) = checking(&app, &tokens, &content).await;
    app.clock.advance_seconds(1800);
    let risky = app.wechat.media_verdict(&check, Some(&content)).unwrap();
    let hold = front.hold_only("avatarUrl = :url", "TransactWriteItems");
    let during = async {
        hold.arrived().await;
        let copied = |key: &String| key.starts_with("avatars/");
        assert!(app.object_keys().iter().any(copied));
        push(&app, &risky).await;
        assert_eq!(app.object_keys(), Vec::<String>::new());
        drop(hold);
    };
    let confirmed = api.confirm_avatar(&tokens.access, key(&form));
    let (confirmed, ()) = futures_util::join!(confirmed, during);
    confirmed.fails(404, "not_found");
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
    // Another one can be chosen.
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
}

/// Its process may still be copying. So the row waits for the next sweep, or for the next delivery.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_verdict_ends_a_publication_that_stopped_half_way(
    #[values(false, true)] comes_again: bool,
) {
    let app = start(Redis).await;
    let tokens = app.log_in("alice").await;
    let content = picture(RISKY_KEYWORD);
    let (form, check) = checking(&app, &tokens, &content).await;
    let risky = verdict(&app, &check).await;
    // As if the operator's settings had let it through.
    let passed = app.wechat.media_verdict(&check, Some(PNG)).unwrap();
    push(&app, &passed).await;
    stop_half_way(&app, &tokens, &form).await;
    push(&app, &risky).await;
    assert_eq!(app.object_keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form).await.fails(404, "not_found");
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    app.clock.advance_seconds(15);
    if comes_again {
        let again = app.wechat.media_verdict(&check, Some(&content)).unwrap();
        push(&app, &again).await;
        assert_eq!(upload_rows(&app).await, []);
    }
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(
        (app.object_keys().len(), upload_rows(&app).await.len()),
        (1, 2)
    );
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Pass,
    Risky,
    Unreadable,
}

/// WeChat repeats a message until it is answered with `success`.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_can_not_be_carried_out_is_asked_for_again(
    #[values(Said::Pass, Said::Risky, Said::Unreadable)] said: Said,
    #[values(Fault::Throttled, Fault::Fails, Fault::Conflict)] fault: Fault,
) {
    let app = start(Redis).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    let content = match said {
        Said::Pass => Some(PNG.to_vec()),
        Said::Risky => Some(picture(RISKY_KEYWORD)),
        Said::Unreadable => None,
    };
    let said_so = app
        .wechat
        .media_verdict(&check, content.as_deref())
        .unwrap();
    front.breaks("UpdateItem", fault, ALWAYS);
    push_in_vain(&api, &said_so).await;
    front.heal();
    assert_eq!(
        confirm(&app, &tokens, &form).await.ok(202)["status"],
        "checking"
    );
    push_to(&api, &said_so).await;
    let answer = confirm(&app, &tokens, &form).await;
    match said {
        Said::Pass => drop(url_of(answer.ok(200))),
        Said::Risky => drop(answer.fails(400, "content_risky")),
        Said::Unreadable => drop(answer.fails(400, "upload_invalid")),
    }
}

/// The picture is shown no longer, and deleted once the store is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_risky_verdict_waits_for_the_store() {
    let app = TestApp::builder(Redis).avatars().proxied();
    let app = app.set("CONTENT_CHECK", "on").start().await;
    let tokens = app.log_in("alice").await;
    let content = picture(RISKY_KEYWORD);
    let (_, check) = checking(&app, &tokens, &content).await;
    let passed = app.wechat.media_verdict(&check, Some(PNG)).unwrap();
    push(&app, &passed).await;
    let url = avatar_url(&app, &tokens).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(wire_proxy::Fault::Refuse).await;
    app.clock.advance_seconds(2);
    let risky = app.wechat.media_verdict(&check, Some(&content)).unwrap();
    assert_eq!(push_in_vain(&app.api, &risky).await, 503);
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    store.heal().await;
    push(&app, &risky).await;
    assert_eq!(fetch(url.as_str().unwrap()).await.status, 404);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}
