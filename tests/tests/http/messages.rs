//! Messages to users: what users agree to receive, and orders of administrators and what is known of
//! them. What becomes of an order is the function `messages`' business; here its store is called as the
//! function calls it.

mod claims;
mod faults;
mod orders;
mod sending;
mod subscriptions;

use e2e::{
    http::Answer,
    settings::APP_ID,
    test_app::{Api, SharedState, TestApp, Tokens},
};
use serde_json::{Value, json};
use shared::messages::{Message, MessageId};

/// The path of subscriptions.
const SUBSCRIPTIONS: &str = "/api/v1/user/subscriptions";

/// An app with a queue of messages, a user and an administrator.
struct Fixture {
    app: TestApp,
    user: Tokens,
    admin: Tokens,
}

impl Fixture {
    async fn start(state: SharedState) -> Self {
        let app = TestApp::builder(state).messages().start().await;
        let user = app.log_in("alice").await;
        let admin = app.administrator("root").await;
        Self { app, user, admin }
    }

    /// An order to the user, with this key.
    fn order(&self, key: &str) -> Value {
        json!({
            "idempotencyKey": key, "userId": self.user.user_id(), "type": "subscribe",
            "templateId": "T1", "data": {"thing1": "secret-content"},
        })
    }

    async fn send(&self, order: &Value) -> Answer {
        send(&self.app.api, &self.admin.access, order).await
    }

    /// An order that is accepted.
    async fn ordered(&self, key: &str) -> Message {
        let answer = self.send(&self.order(key)).await;
        let id = answer.ok(202)["messageId"].as_str().unwrap().to_owned();
        self.message(&id).await.unwrap()
    }

    /// The user's message, as the store has it.
    async fn message(&self, id: &str) -> Option<Message> {
        let messages = self.app.instance_with(&[]).messages();
        let id: MessageId = id.parse().unwrap();
        let user = self.user.user_id().parse().unwrap();
        messages.get(user, &id).await.unwrap()
    }

    /// The user accepts one message of each template.
    async fn accept(&self, request_id: &str, templates: &[&str]) -> Answer {
        let results = templates.iter().map(|template| (*template, "accept"));
        let results: std::collections::BTreeMap<_, _> = results.collect();
        let body = json!({"requestId": request_id, "results": results});
        record(&self.app.api, &self.user.access, &body).await
    }

    /// How many messages of a template are left.
    async fn remaining(&self, template: &str) -> u64 {
        let answer = subscriptions(&self.app.api, &self.user.access).await;
        remaining(answer.ok(200), template)
    }
}

fn remaining(data: &Value, template: &str) -> u64 {
    let list = data["subscriptions"].as_array().unwrap();
    let of_template = list.iter().find(|one| one["templateId"] == template);
    of_template.map_or(0, |one| {
        assert_eq!(one["appId"], APP_ID);
        one["remaining"].as_u64().unwrap()
    })
}

async fn send(api: &Api, token: &str, order: &Value) -> Answer {
    let request = api.request("POST", "/api/v1/messages").bearer(token);
    request.json(order).send().await
}

async fn record(api: &Api, token: &str, body: &Value) -> Answer {
    let request = api.request("PUT", SUBSCRIPTIONS).bearer(token);
    request.json(body).send().await
}

async fn subscriptions(api: &Api, token: &str) -> Answer {
    let request = api.request("GET", SUBSCRIPTIONS).bearer(token);
    request.send().await
}
