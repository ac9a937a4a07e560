//! What the function `messages` does with the rows: claims, endings, and what is due.

use e2e::{
    dynamodb::{Item, TABLE},
    settings::APP_ID,
    test_app::{SharedState::InProcess, TestApp, Tokens},
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::{
    clock::Clock,
    ids::AppId,
    messages::{ClaimOutcome, Claimed, Ending, Message, MessageStatus, Messages},
};

use super::Fixture;

fn store(fixture: &Fixture) -> Messages {
    fixture.app.instance_with(&[]).messages()
}

fn app_id() -> AppId {
    APP_ID.parse().unwrap()
}

fn now(fixture: &Fixture) -> Timestamp {
    Clock::Manual(fixture.app.clock.clone()).now()
}

fn later(fixture: &Fixture, seconds: i64) -> Timestamp {
    now(fixture) + SignedDuration::from_secs(seconds)
}

/// Claims a message that can be claimed.
async fn claimed(messages: &Messages, message: &Message) -> Claimed {
    match messages.claim(message).await.unwrap() {
        ClaimOutcome::Claimed(claimed) => *claimed,
        other => panic!("{other:?}"),
    }
}

async fn due(fixture: &Fixture) -> Vec<Message> {
    let page = store(fixture).due(&app_id(), 100, None).await.unwrap();
    assert_eq!((page.unreadable, page.missed), (0, 0));
    page.messages
}

fn sent() -> Ending {
    Ending::new(MessageStatus::Sent, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_uses_up_the_oldest_grant_of_the_template() {
    let fixture = Fixture::start(InProcess).await;
    for (call, template) in [
        ("call-0003", "T1"),
        ("call-0001", "T1"),
        ("call-0002", "T2"),
    ] {
        fixture.accept(call, &[template]).await.ok(200);
        fixture.app.clock.advance_seconds(1);
    }
    let messages = store(&fixture);
    let message = fixture.ordered("order-0001").await;
    let claimed = claimed(&messages, &message).await;
    assert_eq!(claimed.message.status, MessageStatus::Sending);
    assert_eq!(claimed.message.attempts, 1);
    let open_id = fixture.app.wechat.open_id("alice", None).unwrap();
    assert_eq!(claimed.open_id.as_str(), open_id);
    assert_eq!(
        (fixture.remaining("T1").await, fixture.remaining("T2").await),
        (1, 1)
    );
    let used = fixture
        .app
        .rows()
        .await
        .into_iter()
        .find(|(_, row)| row.contains_key("usedBy"));
    assert!(used.unwrap().0.1.ends_with("#call-0003"), "the oldest");

    assert!(
        messages
            .settle(&claimed.message, &sent(), None)
            .await
            .unwrap()
    );
    let ended = fixture.message(&message.id.to_string()).await.unwrap();
    assert_eq!((ended.status, ended.due_at), (MessageStatus::Sent, None));
    // The call again brings nothing back.
    fixture.accept("call-0003", &["T1"]).await.ok(200);
    assert_eq!(fixture.remaining("T1").await, 1);
    fixture.app.clock.advance_seconds(3600);
    assert_eq!(due(&fixture).await, []);
    let rows = fixture.app.rows().await;
    let row = rows
        .iter()
        .find(|((_, sk), _)| sk.starts_with("MESSAGE#"))
        .unwrap()
        .1;
    for gone in ["gsi1pk", "gsi1sk", "claim", "dueAt", "reason"] {
        assert!(!row.contains_key(gone), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_grant_was_used_up_adds_nothing_for_a_week() {
    let app = TestApp::builder(InProcess)
        .messages()
        .set("MESSAGE_GRANT_DAYS", "1")
        .start()
        .await;
    let user = app.log_in("alice").await;
    let admin = app.administrator("root").await;
    let mut fixture = Fixture { app, user, admin };
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let message = fixture.ordered("order-0001").await;
    claimed(&store(&fixture), &message).await;
    for (seconds, remaining) in [(86_400, 0), (6 * 86_400 - 1, 0), (1, 1)] {
        fixture.app.clock.advance_seconds(seconds);
        let refreshed = fixture.app.api.refresh(&fixture.user.refresh).await;
        fixture.user = Tokens::of(&refreshed);
        fixture.accept("call-0001", &["T1"]).await.ok(200);
        assert_eq!(fixture.remaining("T1").await, remaining, "{seconds}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_claim_one_message_one_sends_it() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    fixture.accept("call-0002", &["T1"]).await.ok(200);
    let message = fixture.ordered("order-0001").await;
    let stores: Vec<_> = (0..8).map(|_| store(&fixture)).collect();
    let outcomes = join_all(stores.iter().map(|store| store.claim(&message))).await;
    let claimed = outcomes
        .iter()
        .filter(|it| matches!(it, Ok(ClaimOutcome::Claimed(_))));
    assert_eq!(claimed.count(), 1, "{outcomes:?}");
    let taken = outcomes
        .iter()
        .filter(|it| matches!(it, Ok(ClaimOutcome::Taken)));
    assert_eq!(taken.count(), 7, "{outcomes:?}");
    assert_eq!(fixture.remaining("T1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_grant_lets_one_of_many_messages_through() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let mut ordered = Vec::new();
    for number in 0..6 {
        ordered.push(fixture.ordered(&format!("order-{number:04}")).await);
    }
    let stores: Vec<_> = ordered.iter().map(|_| store(&fixture)).collect();
    let claims = stores
        .iter()
        .zip(&ordered)
        .map(|(store, message)| store.claim(message));
    let outcomes = join_all(claims).await;
    let claimed = outcomes
        .iter()
        .filter(|it| matches!(it, Ok(ClaimOutcome::Claimed(_))));
    assert_eq!(claimed.count(), 1, "{outcomes:?}");
    let without = outcomes
        .iter()
        .filter(|it| matches!(it, Ok(ClaimOutcome::NoGrant)));
    assert_eq!(without.count(), 5, "{outcomes:?}");
    assert_eq!(fixture.remaining("T1").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_put_off_gives_its_grant_back() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let before = fixture.app.rows().await;
    let messages = store(&fixture);
    let message = fixture.ordered("order-0001").await;
    let first = claimed(&messages, &message).await;
    let due_at = later(&fixture, 60);
    let put_off = messages.put_off(&first.message, due_at, "busy", first.grant.as_ref());
    let waiting = put_off.await.unwrap().unwrap();
    assert_eq!(fixture.remaining("T1").await, 1);
    let is_grant =
        |((_, sk), row): (&(String, String), &Item)| sk.starts_with("GRANT#").then(|| row.clone());
    let rows = fixture.app.rows().await;
    assert_eq!(
        rows.iter().find_map(is_grant),
        before.iter().find_map(is_grant),
        "as it was"
    );
    assert_eq!(
        fixture.message(&message.id.to_string()).await.as_ref(),
        Some(&waiting)
    );
    assert_eq!(
        (waiting.status, waiting.reason.as_deref()),
        (MessageStatus::Queued, Some("busy"))
    );
    // Who read it before does not send it early.
    assert!(matches!(
        messages.claim(&message).await.unwrap(),
        ClaimOutcome::Taken
    ));
    assert_eq!(due(&fixture).await, []);
    fixture.app.clock.advance_seconds(61);
    assert_eq!(due(&fixture).await, std::slice::from_ref(&waiting));
    let second = claimed(&messages, &waiting).await;
    assert_eq!(second.message.attempts, 2);
    // A late ending of the first attempt changes nothing.
    assert!(
        !messages
            .settle(&first.message, &sent(), None)
            .await
            .unwrap()
    );
    let again = messages.put_off(&first.message, due_at, "busy", first.grant.as_ref());
    assert_eq!(again.await.unwrap(), None);
    assert_eq!(fixture.remaining("T1").await, 0);
    assert!(
        messages
            .settle(&second.message, &sent(), None)
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_can_not_be_sent_gives_its_grant_back_and_says_why() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let messages = store(&fixture);
    let message = fixture.ordered("order-0001").await;
    let claimed = claimed(&messages, &message).await;
    let ending = Ending {
        errcode: Some(47003),
        ..Ending::new(MessageStatus::Failed, Some("invalid"))
    };
    let settled = messages.settle(&claimed.message, &ending, claimed.grant.as_ref());
    assert!(settled.await.unwrap());
    assert_eq!(fixture.remaining("T1").await, 1);
    let ended = fixture.message(&message.id.to_string()).await.unwrap();
    assert_eq!(
        (ended.reason.as_deref(), ended.errcode),
        (Some("invalid"), Some(47003))
    );
    let sent = sent();
    let again = messages.settle(&claimed.message, &sent, claimed.grant.as_ref());
    assert!(!again.await.unwrap(), "once");
    assert_eq!(fixture.remaining("T1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_ran_out_is_due_and_is_not_taken_over() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let messages = store(&fixture);
    let message = fixture.ordered("order-0001").await;
    let first = claimed(&messages, &message).await;
    fixture.app.clock.advance_seconds(119);
    assert_eq!(due(&fixture).await, []);
    fixture.app.clock.advance_seconds(2);
    let found = due(&fixture).await;
    assert_eq!(found, std::slice::from_ref(&first.message));
    assert!(matches!(
        messages.claim(&found[0]).await.unwrap(),
        ClaimOutcome::Taken
    ));
    let ending = Ending::new(MessageStatus::Unconfirmed, Some("interrupted"));
    assert!(messages.settle(&found[0], &ending, None).await.unwrap());
    assert!(
        !messages
            .settle(&first.message, &sent(), None)
            .await
            .unwrap()
    );
    assert_eq!(fixture.remaining("T1").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_customer_service_needs_no_grant() {
    let fixture = Fixture::start(InProcess).await;
    let order = json!({
        "idempotencyKey": "reply-0001", "userId": fixture.user.user_id(), "type": "customer_service",
        "message": {"kind": "text", "content": "hello"},
    });
    let answer = fixture.send(&order).await;
    let id = answer.ok(202)["messageId"].as_str().unwrap().to_owned();
    let message = fixture.message(&id).await.unwrap();
    let claimed = claimed(&store(&fixture), &message).await;
    let open_id = fixture.app.wechat.open_id("alice", None).unwrap();
    assert_eq!(
        (claimed.open_id.as_str(), claimed.grant),
        (open_id.as_str(), None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_claimed_for_an_account_that_is_gone() {
    let fixture = Fixture::start(InProcess).await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let message = fixture.ordered("order-0001").await;
    let messages = store(&fixture);
    let first = claimed(&messages, &message).await;
    fixture
        .app
        .api
        .delete_account(&fixture.user.access)
        .await
        .ok(200);
    // What was being sent leaves no rows behind.
    let put_off = messages.put_off(
        &first.message,
        later(&fixture, 60),
        "busy",
        first.grant.as_ref(),
    );
    assert_eq!(put_off.await.unwrap(), None);
    assert!(
        !messages
            .settle(&first.message, &sent(), None)
            .await
            .unwrap()
    );
    assert!(matches!(
        messages.claim(&message).await.unwrap(),
        ClaimOutcome::Taken
    ));
    assert_eq!(
        (
            fixture.app.count("MESSAGE#").await,
            fixture.app.count("GRANT#").await
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_can_not_be_read_holds_up_no_other() {
    let fixture = Fixture::start(InProcess).await;
    let broken = fixture.ordered("order-0001").await;
    let message = fixture.ordered("order-0002").await;
    let pk = format!("USER#{}", fixture.user.user_id());
    let sk = format!("MESSAGE#{}", broken.id);
    let mut row = fixture.app.table.item(&pk, &sk).await.unwrap();
    row.insert("status".into(), shared::dynamo::string("later"));
    let put = fixture.app.table.client().put_item().table_name(TABLE);
    put.set_item(Some(row)).send().await.unwrap();
    fixture.app.clock.advance_seconds(1);
    let page = store(&fixture).due(&app_id(), 100, None).await.unwrap();
    assert_eq!((page.unreadable, page.missed), (1, 0));
    assert_eq!(page.messages, std::slice::from_ref(&message));
    let user = fixture.user.user_id().parse().unwrap();
    let (listed, _) = store(&fixture).page(user, 10, None).await.unwrap();
    assert_eq!(listed, [message]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_read_page_by_page_the_longest_waiting_first() {
    let fixture = Fixture::start(InProcess).await;
    let mut ordered = Vec::new();
    for number in 0..5 {
        ordered.push(fixture.ordered(&format!("order-{number:04}")).await);
        fixture.app.clock.advance_seconds(1);
    }
    let messages = store(&fixture);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = messages.due(&app_id(), 2, after).await.unwrap();
        found.extend(page.messages);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, ordered);
}
