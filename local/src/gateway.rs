//! The gateway: all functions on one port, with the database, the simulator and the metrics beside
//! them.

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use ::gateway::{
    Database, MetricsServer, create_table, database_client, enable_stream, listen, routes,
    send_due_messages, serve,
};
use axum::Router;
use shared::{
    clock::Clock,
    config::{DynamoSettings, Env, USER_MESSAGES, WECHAT_APPIDS},
    instance::Instance,
    random::Random,
    runtime::Invoker,
};
use tokio::{net::TcpListener, task::JoinHandle};
use wechat_simulator::Simulator;

use crate::{
    StartError,
    feed::{ChangeFeed, Follower},
    objects::{ObjectStore, StoreKeys},
    openapi,
    playground::{self, LogTail, PLAYGROUND},
    push,
    queue::{MessageQueue, MessageQueues, Poller},
    settings::{
        LOCAL_APP_SECRET, LOCAL_BUCKET, LocalUrls, MESSAGES_NAME, QueuePlace, Settings,
        WEBHOOKS_NAME, with_local_defaults,
    },
    simulated::{explained, guarded},
};

/// The path prefix of the simulated WeChat.
const WECHAT: &str = "/_wechat";
/// The path prefix of the built-in object store, and of its pictures as a CDN serves them.
const OBJECTS: &str = "/_objects";
const PICTURES: &str = "/_cdn";
/// The path prefix of the built-in queues.
const QUEUE: &str = "/_queue";
/// How long messages to users are sent in one go, as in template.yaml.
const ROUND: Duration = Duration::from_mins(1);
/// The folder of the object store, in `DATA_DIR`.
pub(crate) const OBJECTS_FOLDER: &str = "objects";

/// The backend: its port is open, and it does not serve yet.
pub struct Gateway {
    /// The address of the API.
    pub address: SocketAddr,
    /// The instance that all functions share.
    pub instance: Instance,
    /// The simulated WeChat, unless a real one is configured.
    pub simulator: Option<Simulator>,
    pub(crate) settings: Settings,
    database: Option<Database>,
    metrics: Option<MetricsServer>,
    listener: TcpListener,
    app: Router,
    /// The table's changes, and what they are handed to; none where another process has the table.
    changes: Option<(ChangeFeed, Invoker)>,
    /// Deliver webhooks and send messages to users.
    senders: Senders,
}

/// What works on built-in queues, and on what is due.
#[derive(Default)]
struct Senders {
    /// Delivers webhooks from the built-in queue; none where there is another.
    webhooks: Option<Poller>,
    /// The same for messages to users.
    messages: Option<Poller>,
    /// Sends messages to users that are due, where their queue is another.
    due: Option<Invoker>,
}

impl Senders {
    fn start(self) -> impl Iterator<Item = JoinHandle<()>> {
        let pollers = [self.webhooks, self.messages].into_iter().flatten();
        let pollers = pollers.map(|poller| tokio::spawn(poller.run()));
        let due = self.due.map(|messages| {
            // Until it is aborted.
            tokio::spawn(send_due_messages(messages, ROUND, pending()))
        });
        pollers.chain(due)
    }
}

impl Gateway {
    /// Starts all parts. The playground shows `log`, what this process logs.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(env: Env, log: LogTail) -> Result<Self, StartError> {
        let settings = Settings::record(&env);
        let opened = match env.validate() {
            Ok(()) => Opened::open(&settings).await,
            Err(errors) => Err(errors.into()),
        };
        let Opened {
            listener,
            address,
            metrics,
            database,
        } = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(with_all_settings(env, &settings, error)),
        };
        let endpoint = database.as_ref().map_or("", |database| &database.endpoint);
        let env = with_own_urls(env, &settings, endpoint, address);
        let instance = Instance::new(env, Clock::System, Random::System);
        let routes = routes(&instance);
        let worker = ::gateway::worker(&instance);
        let functions = of_queues(&instance);
        let table = instance.dynamo().table().to_owned();
        let changes = open_changes(database.as_ref(), &table, worker).await?;
        let shown = playground::router(&instance, &settings, log);
        let app = instance.app(routes)?.merge(openapi::router());
        let app = playground::with_page(app).nest(PLAYGROUND, shown);
        let (mut app, senders) = with_queues(app, &settings, &instance, functions);
        let simulator = start_simulator(&settings, instance.env(), &app)?;
        if let Some(simulator) = &simulator {
            app = explained(app).nest(WECHAT, guarded(simulator.router()));
        }
        if settings.store_objects {
            let store = start_store(instance.env(), &settings, database.is_some());
            app = with_objects(app, &store.map_err(StartError::Objects)?);
        }
        Ok(Self {
            address,
            instance,
            simulator,
            settings,
            database,
            metrics,
            listener,
            app,
            changes,
            senders,
        })
    }

    /// The URL of the embedded DynamoDB, if there is one.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database
            .as_ref()
            .map(|database| database.endpoint.as_str())
    }

    /// The address of the metrics, if they are recorded.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// Serves until `stop` completes, and finishes the requests in flight.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let metrics = self.metrics.map(|metrics| tokio::spawn(metrics.serve()));
        let folder = &self.settings.data_dir;
        let follower = self
            .changes
            .map(|(feed, worker)| Follower::start(feed, worker, folder));
        let senders: Vec<_> = self.senders.start().collect();
        serve(self.listener, self.app, stop).await?;
        if let Some(follower) = follower {
            follower.stop().await;
        }
        for sender in senders {
            sender.abort();
            drop(sender.await);
        }
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        // Its idle connections to the database would keep the database from stopping.
        drop(self.instance);
        if let Some(database) = self.database {
            database.stop().await;
        }
        Ok(())
    }
}

/// What other programs can keep this one from.
struct Opened {
    listener: TcpListener,
    address: SocketAddr,
    metrics: Option<MetricsServer>,
    database: Option<Database>,
}

impl Opened {
    async fn open(settings: &Settings) -> Result<Self, StartError> {
        let wanted = SocketAddr::new(settings.host, settings.port);
        let (listener, address) = listen("PORT", wanted).await?;
        Ok(Self {
            listener,
            address,
            metrics: start_metrics(settings).await?,
            database: start_database(settings).await?,
        })
    }
}

/// All that is wrong with the settings, of the functions too, in place of the first problem; `error`
/// where they are right.
fn with_all_settings(env: Env, settings: &Settings, error: StartError) -> StartError {
    const NOWHERE: &str = "http://127.0.0.1:1";
    const NOWHERE_QUEUE: &str = "http://127.0.0.1:1/0/q";
    let urls = LocalUrls {
        dynamodb: NOWHERE,
        wechat: NOWHERE,
        objects: NOWHERE,
        pictures: NOWHERE,
        webhooks: NOWHERE_QUEUE,
        messages: NOWHERE_QUEUE,
    };
    let env = with_local_defaults(env, settings, &urls);
    let instance = Instance::new(env, Clock::System, Random::System);
    let app = instance.app(routes(&instance));
    app.err().map_or(error, StartError::Settings)
}

async fn start_metrics(settings: &Settings) -> Result<Option<MetricsServer>, StartError> {
    match settings.metrics_port {
        Some(port) => {
            let wanted = SocketAddr::new(settings.host, port);
            Ok(Some(MetricsServer::start(wanted).await?))
        }
        None => Ok(None),
    }
}

async fn start_database(settings: &Settings) -> Result<Option<Database>, StartError> {
    if settings.dynamodb_endpoint.is_some() {
        return Ok(None);
    }
    let database = Database::start(Some(&settings.data_dir), settings.dynamodb_port).await?;
    Ok(Some(database))
}

/// The changes of the embedded database, and what they are handed to.
async fn open_changes(
    database: Option<&Database>,
    table: &str,
    worker: Invoker,
) -> Result<Option<(ChangeFeed, Invoker)>, StartError> {
    match database {
        Some(database) => Ok(Some((open_table(database, table).await?, worker))),
        None => Ok(None),
    }
}

/// Makes the table of the embedded database, if it has none, and opens its stream.
async fn open_table(database: &Database, table: &str) -> Result<ChangeFeed, StartError> {
    let client = database_client(&database.endpoint);
    create_table(&client, table).await?;
    enable_stream(&client, table).await?;
    let feed = ChangeFeed::open(database.inner.clone(), table);
    feed.map_err(|error| ::gateway::StartError::Database(error.to_string()).into())
}

/// The defaults, with the parts that this process serves itself.
fn with_own_urls(env: Env, settings: &Settings, dynamodb: &str, address: SocketAddr) -> Env {
    let [wechat, objects, pictures, queue] = [WECHAT, OBJECTS, PICTURES, QUEUE]
        .map(|prefix| format!("http://{}{prefix}", reachable(address)));
    let urls = LocalUrls {
        dynamodb,
        wechat: &wechat,
        objects: &objects,
        pictures: &pictures,
        webhooks: &format!("{queue}{}", MessageQueue::path(WEBHOOKS_NAME)),
        messages: &format!("{queue}{}", MessageQueue::path(MESSAGES_NAME)),
    };
    with_local_defaults(env, settings, &urls)
}

/// The built-in object store. What was abandoned in it is deleted only where the table is this process's
/// own: else another process may have the folder, too, and uploads in it.
fn start_store(env: &Env, settings: &Settings, is_own: bool) -> io::Result<ObjectStore> {
    let folder = settings.data_dir.join(OBJECTS_FOLDER);
    let store = open_store(env, folder)?;
    if is_own {
        store.delete_abandoned()?;
    }
    Ok(store)
}

/// The built-in object store, with the functions' own credentials.
pub(crate) fn open_store(env: &Env, folder: PathBuf) -> io::Result<ObjectStore> {
    ObjectStore::open(LOCAL_BUCKET, own_keys(env), Clock::System, Some(folder))
}

/// The app with the store.
fn with_objects(app: Router, store: &ObjectStore) -> Router {
    app.nest(OBJECTS, store.router())
        .nest(PICTURES, store.public_router())
}

/// The functions `webhooks` and `messages`.
fn of_queues(instance: &Instance) -> (Invoker, Invoker) {
    let webhooks = Invoker::new(webhooks::handler(instance));
    (webhooks, ::gateway::messages(instance))
}

/// The app with the built-in queues, and what sends what is in them.
fn with_queues(
    app: Router,
    settings: &Settings,
    instance: &Instance,
    (webhooks, messages): (Invoker, Invoker),
) -> (Router, Senders) {
    let queue = |name| MessageQueue::new(name, own_keys(instance.env()), Clock::System);
    let (mut queues, mut senders) = (Vec::new(), Senders::default());
    let client = instance.webhook_queue();
    if let Some(client) = client.filter(|_| settings.events == QueuePlace::BuiltIn) {
        queues.push(queue(WEBHOOKS_NAME));
        senders.webhooks = Some(Poller::webhooks(client, webhooks));
    }
    let client = instance.message_queue();
    match client.filter(|_| settings.messages == QueuePlace::BuiltIn) {
        Some(client) => {
            queues.push(queue(MESSAGES_NAME));
            senders.messages = Some(Poller::messages(client, messages));
        }
        None if USER_MESSAGES.read(instance.env()) => senders.due = Some(messages),
        None => {}
    }
    let router = MessageQueues::new(queues).router();
    (app.nest(QUEUE, router), senders)
}

fn own_keys(env: &Env) -> StoreKeys {
    let DynamoSettings {
        region,
        credentials,
        ..
    } = DynamoSettings::read(env);
    let current = credentials.current();
    StoreKeys {
        id: current.id.clone(),
        secret: current.secret.clone(),
        session: current.session.clone(),
        region,
    }
}

/// Simulates WeChat for the configured mini-programs, and delivers its pushes to `app`.
fn start_simulator(
    settings: &Settings,
    env: &Env,
    app: &Router,
) -> Result<Option<Simulator>, StartError> {
    if !settings.simulate_wechat {
        return Ok(None);
    }
    let simulator = Simulator::new(
        WECHAT_APPIDS
            .entries(env)
            .map(|id| (id.to_owned(), LOCAL_APP_SECRET.to_owned())),
    );
    simulator.configure_push(push::configs(env))?;
    simulator.set_transport(push::transport(app.clone()));
    simulator.set_media_reader(push::media_reader());
    Ok(Some(simulator))
}

/// The address under which this machine reaches a socket that may listen on all addresses.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    }
}
