//! Verdicts that come when something went wrong before: too late, or after lost answers.

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    upload::PNG,
};
use rstest::rstest;
use serde_json::Value;
use shared::{clock::Clock, instance::Instance, random::Random};
use wechat_simulator::RISKY_KEYWORD;

use super::{
    avatar_url, confirm, fetch, key, other_png, published, upload_rows, uploaded, url_of,
    verdicts::{checking, picture, push, push_to, start, verdict},
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
