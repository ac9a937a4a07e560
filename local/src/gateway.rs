//! All functions on one port.

use std::{future::Future, net::SocketAddr};

use axum::Router;
use shared::{clock::Clock, config::Env, instance::Instance, random::Random, runtime::Routes};
use tokio::net::TcpListener;
use wechat_simulator::Simulator;

use crate::{
    StartError,
    database::{Database, create_table},
    listen::listen,
    metrics::MetricsServer,
    push,
    serve::serve,
    settings::{LOCAL_APP_SECRET, Settings, with_local_defaults},
};

/// Where the simulated WeChat is mounted.
const WECHAT: &str = "/_wechat";

/// The functions: the name of each crate, and its routes.
pub const FUNCTIONS: [(&str, Routes); 6] = [
    ("health", health::routes),
    ("login", login::routes),
    ("token", token::routes),
    ("user_data", user_data::routes),
    ("user_info", user_info::routes),
    ("callback", callback::routes),
];

/// The routes of all functions, as API Gateway would route them.
pub fn routes(instance: &Instance) -> Router {
    FUNCTIONS
        .into_iter()
        .fold(Router::new(), |router, (_, routes)| {
            router.merge(routes(instance))
        })
}

/// The backend, listening and not yet serving.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the functions were told.
    pub instance: Instance,
    /// The simulated WeChat, if it is one.
    pub simulator: Option<Simulator>,
    database: Option<Database>,
    metrics: Option<MetricsServer>,
    listener: TcpListener,
    app: Router,
}

impl Gateway {
    /// Starts all parts.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(env: Env) -> Result<Self, StartError> {
        let settings = Settings::read(&env)?;
        let listener = listen("PORT", SocketAddr::new(settings.host, settings.port)).await?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen(settings.host.to_string(), error))?;
        let metrics = match settings.metrics_port {
            Some(port) => Some(MetricsServer::start(settings.host, port).await?),
            None => None,
        };
        let database = start_database(&settings).await?;
        let endpoint = database
            .as_ref()
            .map(|database| database.endpoint.clone())
            .unwrap_or_default();
        let env = with_local_defaults(
            env,
            &settings,
            &endpoint,
            &format!("http://{}{WECHAT}", reachable(address)),
        );
        let instance = Instance::new(env, Clock::System, Random::System);
        let routes = routes(&instance);
        if database.is_some() {
            create_table(&instance.dynamo()).await?;
        }
        let mut app = instance.app(routes)?;
        let simulator = settings
            .simulate_wechat
            .then(|| simulator(instance.env()))
            .transpose()?;
        if let Some(simulator) = &simulator {
            simulator.set_transport(push::transport(app.clone()));
            app = app.nest(WECHAT, simulator.router());
        }
        Ok(Self {
            address,
            instance,
            simulator,
            database,
            metrics,
            listener,
            app,
        })
    }

    /// Where the embedded DynamoDB listens, if there is one.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database
            .as_ref()
            .map(|database| database.endpoint.as_str())
    }

    /// Where metrics are read, if they are recorded.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// Serves until `stop` is done; requests that are running then get their answers.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let metrics = self.metrics.map(|metrics| tokio::spawn(metrics.serve()));
        serve(self.listener, self.app, stop).await?;
        if let Some(metrics) = metrics {
            metrics.abort();
        }
        // The SDK's idle connections would keep the database from ending.
        drop(self.instance);
        if let Some(database) = self.database {
            database.stop().await;
        }
        Ok(())
    }
}

async fn start_database(settings: &Settings) -> Result<Option<Database>, StartError> {
    if settings.dynamodb_endpoint.is_some() {
        return Ok(None);
    }
    let file = settings.data_dir.join("dynamodb.sqlite");
    Database::start(Some(&file), settings.dynamodb_port)
        .await
        .map(Some)
}

/// An address that this process can call itself under.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    }
}

/// A WeChat that knows the configured mini-programs.
fn simulator(env: &Env) -> Result<Simulator, StartError> {
    let simulator = Simulator::new(
        env.list("WECHAT_APPIDS")
            .map(|id| (id.to_owned(), LOCAL_APP_SECRET.to_owned())),
    );
    simulator.configure_push(push::configs(env))?;
    Ok(simulator)
}
