//! The whole backend over HTTP, with everything around it that it talks to.
//!
//! A [`TestApp`] is the functions' routes on a port of their own, the real SDK on a DynamoDB in
//! memory, the WeChat simulator, and shared state in the process or in a real Redis; all on one
//! clock that stands still until it is moved. A test that must pass with every kind of shared state
//! takes `#[values(InProcess, Redis)] state: SharedState` and runs once with each.

mod api;
mod builder;
mod instances;
mod log;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use local::{MessageQueue, ObjectStore};
use shared::{
    clock::{Clock, ManualClock},
    config::Env,
    instance::Instance,
    random::Random,
};
use wechat_simulator::{Fault, Simulator};

pub use api::{Api, Tokens};
pub use builder::{Proxies, TestAppBuilder};
pub use log::{LogCapture, capture};

use crate::{
    dynamodb::{DynamoDb, Item, TABLE},
    http::Answer,
    redis_server::RedisServer,
};
use builder::Redis;
use instances::Instances;
pub(crate) use instances::listen;

/// The initial time of every app's clock.
pub const START: &str = "2026-11-23T08:00:00.123Z";

/// The path of code2Session.
pub const CODE2SESSION: &str = "/sns/jscode2session";

/// Where instances keep shared state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedState {
    /// In the memory of the only process.
    InProcess,
    /// In a real Redis.
    Redis,
}

/// A running backend and its surroundings.
pub struct TestApp {
    /// The first instance.
    pub api: Api,
    /// The time of all parts.
    pub clock: ManualClock,
    /// WeChat.
    pub wechat: Simulator,
    /// The rows.
    pub table: DynamoDb,
    objects: Option<ObjectStore>,
    queue: Option<MessageQueue>,
    messages: Option<MessageQueue>,
    proxies: Option<Proxies>,
    redis: Redis,
    instances: Instances,
    log: LogCapture,
}

impl TestApp {
    /// An app with default settings.
    pub async fn start(state: SharedState) -> Self {
        Self::builder(state).start().await
    }

    /// Configures an app.
    pub fn builder(state: SharedState) -> TestAppBuilder {
        TestAppBuilder::new(state)
    }

    /// One more instance on the same stores.
    pub async fn another_instance(&self) -> Api {
        self.instances.start(&[]).await
    }

    /// One more instance on the same stores, with some variables set otherwise.
    pub async fn another_instance_with(&self, changes: &[(&str, &str)]) -> Api {
        self.instances.start(changes).await
    }

    /// The instance's environment.
    pub fn env(&self) -> Env {
        self.instances.env(&[])
    }

    /// The variables of that environment, for instances in other processes.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.instances.variables(&[])
    }

    /// The parts of an instance with some variables set otherwise, for functions that the API does not
    /// call.
    pub fn instance_with(&self, changes: &[(&str, &str)]) -> Instance {
        let clock = Clock::Manual(self.clock.clone());
        Instance::new(self.env_with(changes), clock, Random::System)
    }

    /// The environment of an instance with some variables set otherwise.
    pub fn env_with(&self, changes: &[(&str, &str)]) -> Env {
        self.instances.env(changes)
    }

    /// The proxies of an app that was built with them.
    pub fn proxies(&self) -> &Proxies {
        self.proxies
            .as_ref()
            .expect("an app built with `proxied()`")
    }

    /// The keys of all objects of an app that was built with avatars.
    pub fn object_keys(&self) -> Vec<String> {
        let store = self.objects.as_ref();
        store
            .expect("an app built with `avatars()`")
            .keys()
            .unwrap()
    }

    /// The queue of an app that was built with webhooks.
    pub fn queue(&self) -> &MessageQueue {
        self.queue.as_ref().expect("an app built with `webhooks()`")
    }

    /// The queue of messages to users of an app that was built with messages.
    pub fn message_queue(&self) -> &MessageQueue {
        let queue = self.messages.as_ref();
        queue.expect("an app built with `messages()`")
    }

    /// The Redis of an app that was built with its own.
    pub fn redis(&mut self) -> &mut RedisServer {
        match &mut self.redis {
            Redis::Own(server) => server,
            Redis::Shared(..) | Redis::None => {
                panic!("not an app built with `own_redis()`")
            }
        }
    }

    /// Loses shared state: flushes Redis, or starts a new process where there is none.
    pub async fn lose_shared_state(&mut self) {
        if matches!(self.redis, Redis::None) {
            self.api = self.another_instance().await;
        } else {
            self.redis().flushall().await;
        }
    }

    /// Removes this profile from every cache.
    pub async fn evict_profile(&self, user_id: &str) {
        match self.redis.connection().await {
            None => self.clock.advance_seconds(601),
            Some(mut connection) => {
                redis::cmd("DEL")
                    .arg(format!("{{u:{user_id}}}:profile"))
                    .exec_async(&mut connection)
                    .await
                    .unwrap();
            }
        }
    }

    /// What `wx.login` gives this person in the default mini-program.
    pub fn code(&self, person: &str) -> String {
        self.wechat.mint_code(person, None).unwrap()
    }

    /// The same in another mini-program.
    pub fn code_in(&self, app_id: &str, person: &str) -> String {
        self.wechat.mint_code(person, Some(app_id)).unwrap()
    }

    /// Logs this person in at the first instance.
    pub async fn log_in(&self, person: &str) -> Tokens {
        Tokens::of(&self.api.login(&self.code(person)).await)
    }

    /// How often code2Session was called.
    pub fn code2session_calls(&self) -> u64 {
        self.wechat.calls(CODE2SESSION)
    }

    /// From now on code2Session fails like this.
    pub fn fail_code2session(&self, mut fault: Fault) {
        fault.path = Some(CODE2SESSION.to_owned());
        self.wechat.set_faults([fault]).unwrap();
    }

    /// Every row, by its key.
    pub async fn rows(&self) -> BTreeMap<(String, String), Item> {
        let key = |row: &Item, name: &str| row[name].as_s().unwrap().clone();
        self.table
            .items()
            .await
            .into_iter()
            .map(|row| ((key(&row, "pk"), key(&row, "sk")), row))
            .collect()
    }

    /// The number of rows whose sort key begins with `PROFILE`, `SESSION#` or `IDENTITY`.
    pub async fn count(&self, sort_key: &str) -> usize {
        self.rows()
            .await
            .keys()
            .filter(|(_, sk)| sk.starts_with(sort_key))
            .count()
    }

    /// The row of a session.
    pub async fn session_row(&self, tokens: &Tokens) -> Item {
        let (pk, sk) = (
            format!("USER#{}", tokens.user_id()),
            format!("SESSION#{}", tokens.session_id()),
        );
        self.table.item(&pk, &sk).await.expect("a session's row")
    }

    /// The row of a person's identity in a mini-program.
    pub async fn identity_row(&self, app_id: &str, person: &str) -> Item {
        let open_id = self.wechat.open_id(person, Some(app_id)).unwrap();
        self.table
            .item(&format!("WX#{app_id}#{open_id}"), "IDENTITY")
            .await
            .expect("an identity's row")
    }

    /// An administrator disables the account.
    pub async fn disable(&self, user_id: &str) {
        self.set_status(user_id, "disabled").await;
    }

    /// Enables a disabled user directly in the table.
    pub async fn enable(&self, user_id: &str) {
        self.set_status(user_id, "active").await;
    }

    /// Logs this person in as an administrator.
    pub async fn administrator(&self, person: &str) -> Tokens {
        let tokens = self.log_in(person).await;
        self.set_role(&tokens.user_id(), "admin").await;
        tokens
    }

    /// Gives the user this role directly in the table.
    pub async fn set_role(&self, user_id: &str, role: &str) {
        self.set_word(user_id, "role", role).await;
    }

    async fn set_status(&self, user_id: &str, status: &str) {
        self.set_word(user_id, "status", status).await;
        self.evict_profile(user_id).await;
    }

    async fn set_word(&self, user_id: &str, name: &str, word: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", text(&format!("USER#{user_id}")))
            .key("sk", text("PROFILE"));
        let update = update
            .update_expression("SET #name = :word")
            .condition_expression("attribute_exists(pk)");
        let update = update.expression_attribute_names("#name", name);
        update
            .expression_attribute_values(":word", text(word))
            .send()
            .await
            .expect("UpdateItem");
    }

    /// Removes a row directly from the table.
    pub async fn remove_row(&self, pk: &str, sk: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let delete = self
            .table
            .client()
            .delete_item()
            .table_name(TABLE)
            .key("pk", text(pk))
            .key("sk", text(sk));
        delete.send().await.expect("DeleteItem");
    }

    /// The log line of the request that got this answer. Needs [`capture`] before the request.
    pub fn log_line(&self, answer: &Answer) -> serde_json::Value {
        let id = answer.header("x-request-id").unwrap();
        let mut lines = self.log.logs().json_where("message", &"request".into());
        lines.retain(|line| line["request_id"] == id);
        assert_eq!(lines.len(), 1, "one line for each request: {lines:?}");
        lines.remove(0)
    }
}
