//! The gateway: all functions on one port, with the database, the simulator and the metrics beside
//! them.

use std::{future::Future, io, net::SocketAddr, path::PathBuf};

use ::gateway::{
    Database, MetricsServer, create_table, database_client, enable_stream, listen, routes, serve,
};
use axum::Router;
use shared::{
    clock::Clock,
    config::{DynamoSettings, Env, WECHAT_APPIDS},
    instance::Instance,
    random::Random,
    runtime::Invoker,
};
use tokio::net::TcpListener;
use wechat_simulator::Simulator;

use crate::{
    StartError,
    feed::{ChangeFeed, Follower},
    objects::{ObjectStore, StoreKeys},
    openapi,
    playground::{self, LogTail, PLAYGROUND},
    push,
    queue::{MessageQueue, Poller},
    settings::{
        Events, LOCAL_APP_SECRET, LOCAL_BUCKET, LOCAL_QUEUE, LocalUrls, Settings,
        with_local_defaults,
    },
    simulated::{explained, guarded},
};

/// The path prefix of the simulated WeChat.
const WECHAT: &str = "/_wechat";
/// The path prefix of the built-in object store, and of its pictures as a CDN serves them.
const OBJECTS: &str = "/_objects";
const PICTURES: &str = "/_cdn";
/// The path prefix of the built-in queue of webhooks.
const QUEUE: &str = "/_queue";
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
    /// Delivers webhooks from the built-in queue; none where there is another.
    webhooks: Option<Poller>,
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
        let webhooks = Invoker::new(webhooks::handler(&instance));
        let table = instance.dynamo().table().to_owned();
        let changes = open_changes(database.as_ref(), &table, worker).await?;
        let shown = playground::router(&instance, &settings, log);
        let app = instance.app(routes)?.merge(openapi::router());
        let app = playground::with_page(app).nest(PLAYGROUND, shown);
        let (mut app, webhooks) = with_webhooks(app, &settings, &instance, webhooks);
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
            webhooks,
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
        let webhooks = self.webhooks.map(|poller| tokio::spawn(poller.run()));
        serve(self.listener, self.app, stop).await?;
        if let Some(follower) = follower {
            follower.stop().await;
        }
        if let Some(webhooks) = webhooks {
            webhooks.abort();
            drop(webhooks.await);
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
        queue: NOWHERE_QUEUE,
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
        queue: &format!("{queue}{}", MessageQueue::path(LOCAL_QUEUE)),
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

/// The app with the built-in queue, and what delivers from it; none where there is another.
fn with_webhooks(
    app: Router,
    settings: &Settings,
    instance: &Instance,
    webhooks: Invoker,
) -> (Router, Option<Poller>) {
    let is_own = settings.events == Events::BuiltIn;
    let Some(client) = instance.webhook_queue().filter(|_| is_own) else {
        return (app, None);
    };
    let queue = MessageQueue::new(LOCAL_QUEUE, own_keys(instance.env()), Clock::System);
    let poller = Poller::new(client, webhooks);
    (app.nest(QUEUE, queue.router()), Some(poller))
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
