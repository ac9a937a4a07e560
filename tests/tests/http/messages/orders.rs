//! Orders of administrators.

use e2e::{
    settings::OTHER_APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::messages::{Creation, RawMessageRequest};

use super::{Fixture, send};

/// A page of the user's messages.
async fn page(fixture: &Fixture, query: &str) -> Value {
    let path = format!("/api/v1/users/{}/messages{query}", fixture.user.user_id());
    let request = fixture.app.api.request("GET", &path);
    let answer = request.bearer(&fixture.admin.access).send().await;
    answer.ok(200).clone()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_recorded_and_queued(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = Fixture::start(state).await;
    let log = capture();
    let answer = fixture.send(&fixture.order("order-0001")).await;
    let data = answer.ok(202).clone();
    let id = data["messageId"].as_str().unwrap();
    assert_eq!(
        data,
        json!({"userId": fixture.user.user_id(), "messageId": id, "status": "queued"})
    );
    assert_eq!(fixture.app.message_queue().len(), 1);

    let path = format!("/api/v1/users/{}/messages/{id}", fixture.user.user_id());
    let request = fixture.app.api.request("GET", &path);
    let read = request.bearer(&fixture.admin.access).send().await;
    let message = read.ok(200);
    assert_eq!(message["status"], "queued");
    assert_eq!(
        (&message["type"], &message["templateId"]),
        (&json!("subscribe"), &json!("T1"))
    );
    assert_eq!(message["createdAt"], message["dueAt"]);
    assert!(!message.to_string().contains("secret-content"), "{message}");
    let audit = log.logs().json_where("audit", &"message_ordered".into());
    let of_user = |line: &&Value| line["user_id"] == fixture.user.user_id();
    let audit: Vec<_> = audit.iter().filter(of_user).collect();
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0]["message_id"], id);
    assert!(!log.logs().contain("secret-content"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_and_message_is_one_order(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = Fixture::start(state).await;
    let order = fixture.order("order-0001");
    let calls = (0..6).map(|_| fixture.send(&order));
    let answers = futures_util::future::join_all(calls).await;
    for answer in &answers {
        assert_eq!(answer.ok(202), answers[0].ok(202));
    }
    assert_eq!(fixture.app.count("MESSAGE#").await, 1);
    assert_eq!(fixture.app.message_queue().len(), 1);
    // What is named and is the default is the same message.
    let mut same = order.clone();
    same["lang"] = json!("zh_CN");
    assert_eq!(fixture.send(&same).await.ok(202), answers[0].ok(202));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_recorded_without_an_answer_is_audited_when_it_is_repeated() {
    let fixture = Fixture::start(InProcess).await;
    let order = fixture.order("order-0001");
    // What the process did that ended before it answered.
    let instance = fixture.app.instance_with(&[]);
    let raw: RawMessageRequest = serde_json::from_value(order.clone()).unwrap();
    let request = raw.check(&instance.message_rules()).unwrap();
    let created = instance.messages().create(&request).await.unwrap();
    let Creation::Created(message) = created else {
        panic!("{created:?}")
    };
    let log = capture();
    let lines = || {
        let lines = log.logs().json_where("audit", &"message_ordered".into());
        let of_message = |line: &&Value| line["message_id"] == message.id.to_string();
        lines.iter().filter(of_message).count()
    };
    fixture.send(&order).await.ok(202);
    assert_eq!(lines(), 1);
    // One that is being sent needs no line.
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    instance.messages().claim(&message).await.unwrap();
    let again = fixture.send(&order).await;
    assert_eq!(again.ok(202)["status"], "sending");
    assert_eq!(lines(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_for_another_message_is_refused() {
    let fixture = Fixture::start(InProcess).await;
    let order = fixture.order("order-0001");
    fixture.send(&order).await.ok(202);
    let mut other = order.clone();
    other["data"] = json!({"thing1": "something else"});
    let refused = fixture.send(&other).await;
    refused.fails(409, "idempotency_key_reused");
    // Another user's key is another one.
    let bob = fixture.app.log_in("bob").await;
    other["userId"] = json!(bob.user_id());
    fixture.send(&other).await.ok(202);
    assert_eq!(fixture.app.count("MESSAGE#").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_orders_with_one_key_leave_one_message() {
    let fixture = Fixture::start(InProcess).await;
    let orders = (0..8).map(|number| {
        let mut order = fixture.order("order-0001");
        order["data"] = json!({"thing1": format!("{}", number % 2)});
        order
    });
    let orders: Vec<_> = orders.collect();
    let calls = orders.iter().map(|order| fixture.send(order));
    let answers = futures_util::future::join_all(calls).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    let refused = answers
        .iter()
        .filter(|answer| answer.reason() == Some("idempotency_key_reused"));
    assert_eq!((taken, refused.count()), (4, 4));
    assert_eq!(fixture.app.count("MESSAGE#").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_can_not_be_reached_is_named() {
    let fixture = Fixture::start(InProcess).await;
    let mut order = fixture.order("order-0001");
    order["appId"] = json!(OTHER_APP_ID);
    fixture.send(&order).await.fails(409, "user_unreachable");
    order["userId"] = json!("0193c0de-0000-7000-8000-00000000abcd");
    fixture.send(&order).await.fails(404, "not_found");
    assert_eq!(fixture.app.count("MESSAGE#").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_orders_messages_to_a_barred_account() {
    let app = TestApp::builder(InProcess)
        .messages()
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let user = app.log_in("alice").await;
    let admin = app.administrator("root").await;
    let fixture = Fixture { app, user, admin };
    fixture.send(&fixture.order("order-0001")).await.ok(202);
    fixture
        .app
        .api
        .delete_account(&fixture.user.access)
        .await
        .ok(202);
    fixture
        .send(&fixture.order("order-0002"))
        .await
        .fails(404, "not_found");
    // What was ordered before is known as before.
    let again = fixture.send(&fixture.order("order-0001")).await;
    assert_eq!(again.ok(202)["status"], "queued");
    assert_eq!(fixture.app.count("MESSAGE#").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_administrator_orders_and_reads_nothing() {
    let fixture = Fixture::start(InProcess).await;
    let (api, token) = (&fixture.app.api, &fixture.user.access);
    send(api, token, &fixture.order("order-0001"))
        .await
        .fails(403, "forbidden");
    let id = fixture.ordered("order-0002").await.id;
    let all = format!("/api/v1/users/{}/messages", fixture.user.user_id());
    for path in [format!("{all}/{id}"), all] {
        let answer = api.request("GET", &path).bearer(token).send().await;
        answer.fails(403, "forbidden");
    }
    assert_eq!(fixture.app.count("MESSAGE#").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_messages_are_off_no_order_is_taken() {
    let app = TestApp::start(InProcess).await;
    let user = app.log_in("alice").await;
    let admin = app.administrator("root").await;
    let fixture = Fixture { app, user, admin };
    let refused = fixture.send(&fixture.order("order-0001")).await;
    refused.fails(501, "not_configured");
    assert_eq!(fixture.app.count("MESSAGE#").await, 0);
    assert_eq!(
        page(&fixture, "").await,
        json!({"messages": [], "cursor": null})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_breaks_rules_names_them_all() {
    let fixture = Fixture::start(InProcess).await;
    let order = json!({
        "idempotencyKey": "x", "userId": "x", "type": "subscribe", "templateId": "T1",
        "data": {"thing1": "x".repeat(21)}, "message": {"kind": "text", "content": "x"},
    });
    let answer = fixture.send(&order).await;
    answer.fails(400, "invalid_request");
    let fields = answer.data()["fields"].as_array().unwrap().clone();
    let named: Vec<_> = fields
        .iter()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        named,
        ["idempotencyKey", "userId", "message", "data.thing1"]
    );
    let mut unknown = fixture.order("order-0001");
    unknown["priority"] = json!(1);
    fixture.send(&unknown).await.fails(400, "invalid_request");
    let mut kind = fixture.order("order-0001");
    kind["type"] = json!("customer_service");
    fixture.send(&kind).await.fails(400, "invalid_request");
    assert_eq!(fixture.app.count("MESSAGE#").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_messages_are_listed_page_by_page_the_newest_first() {
    let fixture = Fixture::start(InProcess).await;
    let mut ordered = Vec::new();
    for number in 0..5 {
        ordered.push(
            fixture
                .ordered(&format!("order-{number:04}"))
                .await
                .id
                .to_string(),
        );
        fixture.app.clock.advance_seconds(1);
    }
    ordered.reverse();
    let mut listed = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = page(&fixture, &query).await;
        let messages = page["messages"].as_array().unwrap();
        assert!(messages.len() <= 2 && !page.to_string().contains("secret-content"));
        let ids = messages
            .iter()
            .map(|it| it["messageId"].as_str().unwrap().to_owned());
        listed.extend(ids);
        match page["cursor"].as_str() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(listed, ordered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_end_with_their_account_and_are_in_its_export() {
    let fixture = Fixture::start(InProcess).await;
    fixture.ordered("order-0001").await;
    fixture.accept("call-0001", &["T1"]).await.ok(200);
    let (api, token) = (&fixture.app.api, &fixture.user.access);
    let export = api
        .request("GET", "/api/v1/user/export")
        .bearer(token)
        .send()
        .await;
    let data = export.ok(200);
    assert_eq!(data["messages"][0]["status"], "queued");
    assert!(
        data["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("secret-content")
    );
    assert_eq!(data["subscriptions"][0]["templateId"], "T1");
    api.delete_account(token).await.ok(200);
    for sort_key in ["MESSAGE#", "GRANT#"] {
        assert_eq!(fixture.app.count(sort_key).await, 0, "{sort_key}");
    }
}
