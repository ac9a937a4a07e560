//! Configures and starts a [`TestApp`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use jiff::Timestamp;
use local::MessageQueue;
use redis::aio::MultiplexedConnection;
use shared::clock::{Clock, ManualClock};
use tokio::sync::OnceCell;
use wechat_simulator::Simulator;

use super::{
    START, SharedState, TestApp,
    instances::{Instances, listen, url},
    log::LogCapture,
};
use crate::{
    dynamodb::DynamoDb,
    objects::{BUCKET, serve, store},
    redis_server::RedisServer,
    settings::{APPS, Settings, push_configs},
    webhooks,
    wire_proxy::WireProxy,
};

/// Where the messages of a queue are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueuePlace {
    None,
    InMemory,
}

enum OwnRedis {
    No,
    Open,
    WithPassword(String),
}

/// How many apps can share one Redis: each has a database of its own.
const DATABASES: u32 = 4096;

/// A [`TestApp`] to be started.
pub struct TestAppBuilder {
    state: SharedState,
    deployed: bool,
    changes: Vec<(String, String)>,
    own_redis: OwnRedis,
    proxied: bool,
    avatars: bool,
    webhooks: QueuePlace,
    messages: QueuePlace,
    start: Timestamp,
}

/// Proxies in front of all that the backend talks to.
pub struct Proxies {
    /// In front of Redis, where there is one.
    pub redis: Option<WireProxy>,
    /// In front of DynamoDB.
    pub dynamodb: WireProxy,
    /// In front of WeChat.
    pub wechat: WireProxy,
    /// In front of the object store, where there is one.
    pub objects: Option<WireProxy>,
}

pub(super) enum Redis {
    None,
    /// A database of the server that all tests of this binary share.
    Shared(&'static RedisServer, u32),
    Own(Box<RedisServer>),
}

impl TestAppBuilder {
    pub(super) fn new(state: SharedState) -> Self {
        Self {
            state,
            deployed: false,
            changes: Vec::new(),
            own_redis: OwnRedis::No,
            proxied: false,
            avatars: false,
            webhooks: QueuePlace::None,
            messages: QueuePlace::None,
            start: START.parse().unwrap(),
        }
    }

    /// Instances are as on Lambda: without Redis they share nothing but DynamoDB.
    #[must_use]
    pub fn deployed(mut self) -> Self {
        self.deployed = true;
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.changes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses a Redis of its own, if any: for tests that flush, freeze or kill it. Otherwise apps share
    /// a server, each with a database of its own.
    #[must_use]
    pub fn own_redis(mut self) -> Self {
        self.own_redis = OwnRedis::Open;
        self
    }

    /// Uses a Redis of its own with this password.
    #[must_use]
    pub fn redis_password(mut self, password: &str) -> Self {
        self.own_redis = OwnRedis::WithPassword(password.to_owned());
        self
    }

    /// Puts proxies between the backend and all that it talks to.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Keeps avatars in a store of `make run`, in memory.
    #[must_use]
    pub fn avatars(mut self) -> Self {
        self.avatars = true;
        self
    }

    /// Has a queue of webhooks in memory; receivers can be at loopback addresses.
    #[must_use]
    pub fn webhooks(mut self) -> Self {
        self.webhooks = QueuePlace::InMemory;
        self
    }

    /// Sends messages to users, from a queue in memory.
    #[must_use]
    pub fn messages(mut self) -> Self {
        self.messages = QueuePlace::InMemory;
        self
    }

    /// Starts the clock at the real time, for servers that are not on it.
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.start = Timestamp::now();
        self
    }

    /// Starts all parts.
    pub async fn start(self) -> TestApp {
        let clock = ManualClock::new(self.start);
        let wechat = simulator(&clock);
        let wechat_port = listen(wechat.router()).await;
        let table = DynamoDb::start().await;
        let redis = self.redis().await;
        let store = self.avatars.then(|| store(Clock::Manual(clock.clone())));
        let objects_port = match &store {
            Some(store) => Some(serve(store).await),
            None => None,
        };
        let proxies = if self.proxied {
            Some(proxies(&redis, table.port(), wechat_port, objects_port).await)
        } else {
            None
        };
        let mut settings = settings(proxies.as_ref(), table.port(), wechat_port);
        if let Some(port) = objects_port {
            settings = with_avatars(settings, proxies.as_ref(), port);
        }
        let (queue, messages) = (self.queue(&clock), self.message_queue(&clock));
        settings = with_queues(settings, queue.as_ref(), messages.as_ref()).await;
        settings = with_redis(settings, proxies.as_ref(), &redis);
        for (name, value) in &self.changes {
            settings = settings.with(name, value);
        }
        let local_development = self.state == SharedState::InProcess && !self.deployed;
        let instances = Instances {
            settings,
            local_development,
            clock: clock.clone(),
        };
        let api = instances.start(&[]).await;
        TestApp {
            api,
            clock,
            wechat,
            table,
            objects: store,
            queue,
            messages,
            proxies,
            redis,
            instances,
            log: LogCapture::from_now(),
        }
    }

    fn queue(&self, clock: &ManualClock) -> Option<MessageQueue> {
        let clock = Clock::Manual(clock.clone());
        (self.webhooks == QueuePlace::InMemory).then(|| webhooks::queue(clock))
    }

    fn message_queue(&self, clock: &ManualClock) -> Option<MessageQueue> {
        let clock = Clock::Manual(clock.clone());
        (self.messages == QueuePlace::InMemory).then(|| webhooks::message_queue(clock))
    }

    async fn redis(&self) -> Redis {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        static DATABASE: AtomicU32 = AtomicU32::new(0);
        match (self.state, &self.own_redis) {
            (SharedState::InProcess, _) => Redis::None,
            (SharedState::Redis, OwnRedis::No) => {
                let databases = DATABASES.to_string();
                let server = RedisServer::builder().with(&["--databases", &databases]);
                let database = DATABASE.fetch_add(1, Ordering::Relaxed);
                Redis::Shared(SHARED.get_or_init(|| server.start()).await, database)
            }
            (SharedState::Redis, OwnRedis::Open) => {
                Redis::Own(Box::new(RedisServer::start().await))
            }
            (SharedState::Redis, OwnRedis::WithPassword(password)) => {
                Redis::Own(Box::new(RedisServer::start_with_password(password).await))
            }
        }
    }
}

impl Redis {
    pub(super) fn server(&self) -> Option<&RedisServer> {
        match self {
            Self::None => None,
            Self::Shared(server, _) => Some(server),
            Self::Own(server) => Some(server),
        }
    }

    /// The database with this app's keys.
    fn database(&self) -> u32 {
        match self {
            Self::Shared(_, database) => *database,
            Self::None | Self::Own(_) => 0,
        }
    }

    /// A connection to this app's keys.
    pub(super) async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut connection = self.server()?.connection().await;
        redis::cmd("SELECT")
            .arg(self.database())
            .exec_async(&mut connection)
            .await
            .unwrap();
        Some(connection)
    }
}

fn simulator(clock: &ManualClock) -> Simulator {
    let clock = Clock::Manual(clock.clone());
    let now = move || {
        UNIX_EPOCH + Duration::from_millis(clock.now().as_millisecond().try_into().unwrap())
    };
    let apps = APPS.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
    let simulator = Simulator::with_clock(apps, Arc::new(now), None);
    simulator.configure_push(push_configs()).unwrap();
    simulator
}

fn port_or(proxy: Option<&WireProxy>, port: u16) -> u16 {
    proxy.map_or(port, WireProxy::port)
}

fn settings(proxies: Option<&Proxies>, dynamodb: u16, wechat: u16) -> Settings {
    let dynamodb = port_or(proxies.map(|proxies| &proxies.dynamodb), dynamodb);
    let wechat = port_or(proxies.map(|proxies| &proxies.wechat), wechat);
    // A slow test machine must not look like an outage.
    Settings::new(&url(dynamodb), &url(wechat)).with("REDIS_TIMEOUT_MS", "5000")
}

/// Clients and WeChat have no proxy in between.
fn with_avatars(settings: Settings, proxies: Option<&Proxies>, port: u16) -> Settings {
    let proxy = proxies.and_then(|proxies| proxies.objects.as_ref());
    let endpoint = format!("{}/s3", url(port_or(proxy, port)));
    settings
        .with("AVATAR_BUCKET", BUCKET)
        .with("AWS_ENDPOINT_URL_S3", &endpoint)
        .with("AVATAR_UPLOAD_URL", &format!("{}/s3/{BUCKET}", url(port)))
        .with("AVATAR_BASE_URL", &format!("{}/cdn", url(port)))
}

async fn proxies(redis: &Redis, dynamodb: u16, wechat: u16, objects: Option<u16>) -> Proxies {
    let redis = match redis.server() {
        Some(server) => Some(WireProxy::redis(server.port()).await),
        None => None,
    };
    Proxies {
        redis,
        dynamodb: WireProxy::http(dynamodb).await,
        wechat: WireProxy::http(wechat).await,
        objects: match objects {
            Some(port) => Some(WireProxy::http(port).await),
            None => None,
        },
    }
}

/// Serves the queue; receivers can be at loopback addresses.
async fn with_webhooks(settings: Settings, queue: &MessageQueue) -> Settings {
    settings
        .with("WEBHOOK_QUEUE_URL", &webhooks::serve(queue).await)
        .with("WEBHOOK_PRIVATE_NETWORKS", "127.0.0.0/8")
}

async fn with_queues(
    mut settings: Settings,
    webhooks: Option<&MessageQueue>,
    messages: Option<&MessageQueue>,
) -> Settings {
    if let Some(queue) = webhooks {
        settings = with_webhooks(settings, queue).await;
    }
    if let Some(queue) = messages {
        settings = with_messages(settings, queue).await;
    }
    settings
}

async fn with_messages(settings: Settings, queue: &MessageQueue) -> Settings {
    settings
        .with("USER_MESSAGES", "on")
        .with("MESSAGE_QUEUE_URL", &webhooks::serve_messages(queue).await)
}

fn with_redis(settings: Settings, proxies: Option<&Proxies>, redis: &Redis) -> Settings {
    let Some(server) = redis.server() else {
        return settings;
    };
    let proxy = proxies.and_then(|proxies| proxies.redis.as_ref());
    let port = port_or(proxy, server.port());
    settings.redis(&format!("{}{}", server.url_via(port), redis.database()))
}
