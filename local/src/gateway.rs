//! The gateway: all functions on one port, with the database, the simulator and the metrics beside
//! them.

use std::{future::Future, io, net::SocketAddr, path::PathBuf};

use ::gateway::{Database, MetricsServer, create_table, database_client, listen, routes, serve};
use axum::Router;
use shared::{
    clock::Clock,
    config::{DynamoSettings, Env, WECHAT_APPIDS},
    instance::Instance,
    random::Random,
};
use tokio::net::TcpListener;
use wechat_simulator::Simulator;

use crate::{
    StartError,
    objects::{ObjectStore, StoreKeys},
    openapi,
    playground::{self, LogTail, PLAYGROUND},
    push,
    settings::{LOCAL_APP_SECRET, LOCAL_BUCKET, LocalUrls, Settings, with_local_defaults},
    simulated::{explained, guarded},
};

/// The path prefix of the simulated WeChat.
const WECHAT: &str = "/_wechat";
/// The path prefix of the built-in object store, and of its pictures as a CDN serves them.
const OBJECTS: &str = "/_objects";
const PICTURES: &str = "/_cdn";
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
        if let Some(database) = &database {
            let client = database_client(&database.endpoint);
            create_table(&client, instance.dynamo().table()).await?;
        }
        let shown = playground::router(&instance, &settings, log);
        let app = instance.app(routes)?.merge(openapi::router());
        let mut app = playground::with_page(app).nest(PLAYGROUND, shown);
        let simulator = start_simulator(&settings, instance.env(), &app)?;
        if let Some(simulator) = &simulator {
            app = explained(app).nest(WECHAT, guarded(simulator.router()));
        }
        if settings.store_objects {
            let is_own = database.is_some();
            let store = start_store(instance.env(), &settings, is_own);
            let store = store.map_err(StartError::Objects)?;
            app = app
                .nest(OBJECTS, store.router())
                .nest(PICTURES, store.public_router());
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
        serve(self.listener, self.app, stop).await?;
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
    let urls = LocalUrls {
        dynamodb: NOWHERE,
        wechat: NOWHERE,
        objects: NOWHERE,
        pictures: NOWHERE,
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

/// The defaults, with the parts that this process serves itself.
fn with_own_urls(env: Env, settings: &Settings, dynamodb: &str, address: SocketAddr) -> Env {
    let [wechat, objects, pictures] =
        [WECHAT, OBJECTS, PICTURES].map(|prefix| format!("http://{}{prefix}", reachable(address)));
    let urls = LocalUrls {
        dynamodb,
        wechat: &wechat,
        objects: &objects,
        pictures: &pictures,
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
    let DynamoSettings {
        region,
        credentials,
        ..
    } = DynamoSettings::read(env);
    let current = credentials.current();
    let keys = StoreKeys {
        id: current.id.clone(),
        secret: current.secret.clone(),
        session: current.session.clone(),
        region,
    };
    ObjectStore::open(LOCAL_BUCKET, keys, Clock::System, Some(folder))
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
