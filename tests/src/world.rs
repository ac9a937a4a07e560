//! The whole backend over HTTP, with everything around it that it talks to.
//!
//! A [`World`] is the functions' routes on a port of their own, the real SDK on a DynamoDB in memory, the WeChat
//! simulator, and shared state in the process or in a real Redis; all on one clock that stands still until it is
//! moved. What holds for every kind of shared state is written once, as `async fn case(state: SharedState)`, and
//! listed in [`both_ways!`](crate::both_ways).

mod api;
mod log;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::{Router, serve::ListenerExt};
use shared::{
    clock::{Clock, ManualClock},
    config::Env,
    instance::Instance,
    random::Random,
};
use tokio::{net::TcpListener, sync::OnceCell};
use wechat_simulator::{Fault, Simulator};

pub use api::{Api, Tokens};
pub use log::{capture, captured};

use crate::{
    dynamodb::{DynamoDb, Item, TABLE},
    http::Answer,
    redis_server::RedisServer,
    settings::{APPS, AWS_ENVIRONMENT, Settings},
    wire_proxy::WireProxy,
};

/// Where every world's clock stands at first.
pub const START: &str = "2026-11-23T08:00:00.123Z";

/// The path of code2Session.
pub const CODE2SESSION: &str = "/sns/jscode2session";

/// Where the state is that instances share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedState {
    /// In the one process that there is.
    InProcess,
    /// In a real Redis.
    Redis,
}

/// Runs every listed case, an `async fn(SharedState)`, with state in the process and with a real Redis.
#[macro_export]
macro_rules! both_ways {
    ($($case:ident),+ $(,)?) => {
        mod in_process {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    Box::pin(super::$case($crate::world::SharedState::InProcess)).await;
                }
            )+
        }
        mod with_redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    Box::pin(super::$case($crate::world::SharedState::Redis)).await;
                }
            )+
        }
    };
}

/// A world to be started.
pub struct Plan {
    state: SharedState,
    changes: Vec<(String, String)>,
    own_redis: Option<Option<String>>,
    proxied: bool,
}

/// Proxies in front of all that the backend talks to.
pub struct Proxies {
    /// In front of Redis, where there is one.
    pub redis: Option<WireProxy>,
    /// In front of DynamoDB.
    pub dynamodb: WireProxy,
    /// In front of WeChat.
    pub wechat: WireProxy,
}

enum Redis {
    None,
    /// The one of this test binary.
    Shared(&'static RedisServer),
    Own(RedisServer),
}

/// A running backend and its surroundings.
pub struct World {
    /// The first instance.
    pub api: Api,
    /// The time of all parts.
    pub clock: ManualClock,
    /// WeChat.
    pub wechat: Simulator,
    /// The rows.
    pub table: DynamoDb,
    proxies: Option<Proxies>,
    redis: Redis,
    settings: Settings,
}

impl Plan {
    /// Sets an environment variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.changes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a Redis of its own, if it takes one at all: for cases that flush, freeze or kill it.
    #[must_use]
    pub fn own_redis(mut self) -> Self {
        self.own_redis = Some(None);
        self
    }

    /// Takes a Redis of its own that wants this password.
    #[must_use]
    pub fn redis_password(mut self, password: &str) -> Self {
        self.own_redis = Some(Some(password.to_owned()));
        self
    }

    /// Puts proxies between the backend and all that it talks to.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Starts all parts.
    pub async fn start(self) -> World {
        let clock = ManualClock::new(START.parse().unwrap());
        let wechat = simulator(&clock);
        let wechat_port = listen(wechat.router()).await;
        let table = DynamoDb::start().await;
        let redis = self.redis().await;
        let proxies = if self.proxied { Some(proxies(&redis, table.port(), wechat_port).await) } else { None };
        let port_or = |proxy: Option<&WireProxy>, port: u16| proxy.map_or(port, WireProxy::port);
        let proxy = proxies.as_ref();
        let mut settings = Settings::new(
            &url(port_or(proxy.map(|proxies| &proxies.dynamodb), table.port())),
            &url(port_or(proxy.map(|proxies| &proxies.wechat), wechat_port)),
        );
        if let Some(server) = redis.server() {
            let port = port_or(proxy.and_then(|proxies| proxies.redis.as_ref()), server.port());
            settings = settings.redis(&server.url_via(port));
        }
        for (name, value) in &self.changes {
            settings = settings.with(name, value);
        }
        let api = instance(&settings, &clock).await;
        World { api, clock, wechat, table, proxies, redis, settings }
    }

    async fn redis(&self) -> Redis {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        match (self.state, &self.own_redis) {
            (SharedState::InProcess, _) => Redis::None,
            (SharedState::Redis, None) => Redis::Shared(SHARED.get_or_init(RedisServer::start).await),
            (SharedState::Redis, Some(None)) => Redis::Own(RedisServer::start().await),
            (SharedState::Redis, Some(Some(password))) => Redis::Own(RedisServer::start_with_password(password).await),
        }
    }
}

impl Redis {
    fn server(&self) -> Option<&RedisServer> {
        match self {
            Self::None => None,
            Self::Shared(server) => Some(server),
            Self::Own(server) => Some(server),
        }
    }
}

impl World {
    /// A world as every other.
    pub async fn start(state: SharedState) -> Self {
        Self::with(state).start().await
    }

    /// A world with something special.
    pub fn with(state: SharedState) -> Plan {
        Plan { state, changes: Vec::new(), own_redis: None, proxied: false }
    }

    /// One more instance on the same stores.
    pub async fn another_instance(&self) -> Api {
        instance(&self.settings, &self.clock).await
    }

    /// One more instance on the same stores, with some variables set otherwise.
    pub async fn another_instance_with(&self, changes: &[(&str, &str)]) -> Api {
        let settings = changes.iter().fold(self.settings.clone(), |settings, (name, value)| settings.with(name, value));
        instance(&settings, &self.clock).await
    }

    /// What the instance was told.
    pub fn env(&self) -> Env {
        env(&self.settings)
    }

    /// The proxies of a world that was planned with them.
    pub fn proxies(&self) -> &Proxies {
        self.proxies.as_ref().expect("this world was planned with proxies")
    }

    /// The Redis of a world that was planned with its own.
    pub fn redis(&mut self) -> &mut RedisServer {
        match &mut self.redis {
            Redis::Own(server) => server,
            Redis::Shared(_) | Redis::None => panic!("this world was planned with a Redis of its own"),
        }
    }

    /// Shared state is lost: Redis is flushed; a process without one is started anew.
    pub async fn lose_shared_state(&mut self) {
        if matches!(self.redis, Redis::None) {
            self.api = self.another_instance().await;
        } else {
            self.redis().flushall().await;
        }
    }

    /// Waits until no cache knows this profile any more.
    pub async fn profile_leaves_the_cache(&self, user_id: &str) {
        match self.redis.server() {
            None => self.clock.advance_seconds(601),
            Some(server) => {
                let mut connection = server.connection().await;
                redis::cmd("DEL").arg(format!("{{u:{user_id}}}:profile")).exec_async(&mut connection).await.unwrap();
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
    pub fn code_calls(&self) -> u64 {
        self.wechat.calls(CODE2SESSION)
    }

    /// From now on code2Session goes wrong in this way.
    pub fn wechat_fails(&self, fault: Fault) {
        self.wechat.set_faults([Fault { path: Some(CODE2SESSION.to_owned()), ..fault }]).unwrap();
    }

    /// Every row, by its key.
    pub async fn rows(&self) -> BTreeMap<(String, String), Item> {
        let key = |row: &Item, name: &str| row[name].as_s().unwrap().clone();
        self.table.items().await.into_iter().map(|row| ((key(&row, "pk"), key(&row, "sk")), row)).collect()
    }

    /// How many rows of this kind there are, known by their sort key: `PROFILE`, `SESSION#`, `IDENTITY`.
    pub async fn count(&self, sort_key: &str) -> usize {
        self.rows().await.keys().filter(|(_, sk)| sk.starts_with(sort_key)).count()
    }

    /// The row of a session.
    pub async fn session_row(&self, tokens: &Tokens) -> Item {
        let (pk, sk) = (format!("USER#{}", tokens.user_id()), format!("SESSION#{}", tokens.session_id()));
        self.table.item(&pk, &sk).await.expect("a session's row")
    }

    /// The row of a person's identity in a mini-program.
    pub async fn identity_row(&self, app_id: &str, person: &str) -> Item {
        let open_id = self.wechat.open_id(person, Some(app_id)).unwrap();
        self.table.item(&format!("WX#{app_id}#{open_id}"), "IDENTITY").await.expect("an identity's row")
    }

    /// An administrator disables the account.
    pub async fn disable(&self, user_id: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.table.client().update_item().table_name(TABLE);
        let update = update.key("pk", text(&format!("USER#{user_id}"))).key("sk", text("PROFILE"));
        let update = update.update_expression("SET #status = :disabled").condition_expression("attribute_exists(pk)");
        let update = update.expression_attribute_names("#status", "status");
        update.expression_attribute_values(":disabled", text("disabled")).send().await.expect("UpdateItem");
        self.profile_leaves_the_cache(user_id).await;
    }

    /// Removes a row behind the backend's back.
    pub async fn remove_row(&self, pk: &str, sk: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let delete = self.table.client().delete_item().table_name(TABLE).key("pk", text(pk)).key("sk", text(sk));
        delete.send().await.expect("DeleteItem");
    }

    /// The log line of the request that got this answer. Needs [`capture`] before the request.
    pub fn log_line(&self, answer: &Answer) -> serde_json::Value {
        let id = answer.header("x-request-id").unwrap();
        let mut lines = captured().json_where("message", &"request".into());
        lines.retain(|line| line["request_id"] == id);
        assert_eq!(lines.len(), 1, "one line for each request: {lines:?}");
        lines.remove(0)
    }
}

fn simulator(clock: &ManualClock) -> Simulator {
    let clock = Clock::Manual(clock.clone());
    let now = move || UNIX_EPOCH + Duration::from_millis(clock.now().as_millisecond().try_into().unwrap());
    let apps = APPS.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
    Simulator::with_clock(apps, Arc::new(now), None)
}

async fn proxies(redis: &Redis, dynamodb: u16, wechat: u16) -> Proxies {
    let redis = match redis.server() {
        Some(server) => Some(WireProxy::redis(server.port()).await),
        None => None,
    };
    Proxies { redis, dynamodb: WireProxy::http(dynamodb).await, wechat: WireProxy::http(wechat).await }
}

fn env(settings: &Settings) -> Env {
    let set = settings.variables().iter().cloned();
    let by_lambda = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Env::new(set.chain(by_lambda))
}

/// An instance of all functions, listening. It ends with the test's runtime.
async fn instance(settings: &Settings, clock: &ManualClock) -> Api {
    let instance = Instance::new(env(settings), Clock::Manual(clock.clone()), Random::System);
    let app = instance.app(local::routes(&instance)).unwrap_or_else(|problems| panic!("{problems}"));
    Api::new(&url(listen(app).await))
}

async fn listen(app: Router) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    port
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
