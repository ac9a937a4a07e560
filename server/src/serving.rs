//! The server's life: start, service, stop.

use std::{net::SocketAddr, path::Path};

use axum::Router;
use gateway::{DataDirError, Database, MetricsServer, ServerLimits, listen, routes, serve_within};
use shared::{
    clock::Clock,
    config::{
        AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION, AWS_SECRET_ACCESS_KEY, Env,
    },
    instance::Instance,
    random::Random,
    request,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Duration, sleep, timeout},
};

use crate::{StartError, credentials::Renewal, ready, settings::Settings};

/// After the stop, for connections without a request to bring one more.
const DRAIN: Duration = Duration::from_secs(2);

/// The server: its port is open, and it does not serve yet.
pub struct Server {
    /// The address of the API.
    pub address: SocketAddr,
    /// That of the metrics, if they are recorded.
    pub metrics_address: Option<SocketAddr>,
    settings: Settings,
    listener: TcpListener,
    metrics: Option<MetricsServer>,
    database: Option<Database>,
    renewal: Option<Renewal>,
    app: Router,
    stopping: watch::Sender<bool>,
}

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request was answered.
    Finished,
    /// Some took longer than `SHUTDOWN_SECONDS`.
    Abandoned,
}

impl Server {
    /// Starts all parts.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(env: Env) -> Result<Self, StartError> {
        let settings = Settings::read(&env);
        let source = Renewal::source(&env, settings.embedded.is_some());
        // Before anything is opened or asked. What the functions need is looked at once they are built.
        env.validate()?;
        let database = match &settings.embedded {
            Some(folder) => Some(open(folder).await?),
            None => None,
        };
        let env = with_database(env, database.as_ref());
        let (env, renewal) = Renewal::start(env, source).await?;
        let wanted = SocketAddr::new(settings.host, settings.port);
        let (listener, address) = listen("PORT", wanted).await?;
        let metrics = metrics(&settings).await?;
        let instance = Instance::new(env, Clock::System, Random::System);
        let (stopping, is_stopping) = watch::channel(false);
        let ready = ready::router(&instance, is_stopping);
        let app = instance.app(routes(&instance))?.merge(ready);
        if let Some(database) = &database {
            let client = gateway::database_client(&database.endpoint);
            gateway::create_table(&client, instance.dynamo().table()).await?;
        }
        instance.connect().await;
        Ok(Self {
            address,
            metrics_address: metrics.as_ref().map(|metrics| metrics.address),
            settings,
            listener,
            metrics,
            database,
            renewal,
            app,
            stopping,
        })
    }

    /// Serves until `stop` completes, and then until the requests in flight are answered.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<Outcome> {
        self.announce();
        let Self {
            settings, stopping, ..
        } = self;
        let background = [
            self.metrics.map(|metrics| tokio::spawn(metrics.serve())),
            self.renewal.map(|renewal| tokio::spawn(renewal.run())),
        ];
        let limits = ServerLimits {
            connections: settings.connections,
            idle: settings.keep_alive,
            drain: DRAIN,
            ..ServerLimits::default()
        };
        let (stopped, mut has_stopped) = watch::channel(false);
        let delay = settings.delay;
        let stop = async move {
            stop.await;
            stopping.send_replace(true);
            tracing::info!(delay_seconds = delay.as_secs(), "stopping");
            sleep(delay).await;
            stopped.send_replace(true);
        };
        let serving = async {
            serve_within(limits, self.listener, self.app, stop).await?;
            // What requests have started goes on after their answers.
            request::all_finished().await;
            Ok::<_, std::io::Error>(Outcome::Finished)
        };
        let deadline = async {
            // The sender is gone once the server has stopped, which ends the wait too.
            let _ = has_stopped.wait_for(|stopped| *stopped).await;
            sleep(settings.shutdown).await;
        };
        let outcome = tokio::select! {
            biased;
            outcome = serving => outcome,
            () = deadline => Ok(Outcome::Abandoned),
        };
        end(background, self.database).await;
        match outcome {
            Ok(Outcome::Abandoned) => tracing::error!("stopped, with requests unanswered"),
            _ => tracing::info!("stopped"),
        }
        outcome
    }

    fn announce(&self) {
        for name in &self.settings.ignored_names {
            tracing::warn!(name, "no setting has this name");
        }
        tracing::info!(
            address = %self.address,
            metrics = self.metrics_address.map(tracing::field::display),
            embedded = self.database.is_some(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
    }
}

/// Ends what is not needed without requests.
async fn end(background: [Option<JoinHandle<()>>; 2], database: Option<Database>) {
    for task in background.into_iter().flatten() {
        task.abort();
    }
    if let Some(database) = database {
        // Its clients' idle connections would keep it from stopping.
        let _ = timeout(Duration::from_secs(1), database.stop()).await;
    }
}

/// The embedded DynamoDB, on any free port of the loopback address.
async fn open(folder: &Path) -> Result<Database, StartError> {
    let opened = Database::start(Some(folder), 0).await;
    opened.map_err(|error| match error {
        gateway::StartError::DataDir(DataDirError::InUse(path)) => {
            StartError::Embedded(path, "is in use by another process".to_owned())
        }
        gateway::StartError::DataDir(DataDirError::Unusable(path, error)) => {
            StartError::Embedded(path, format!("can't be used: {error}"))
        }
        error => error.into(),
    })
}

fn with_database(env: Env, database: Option<&Database>) -> Env {
    match database {
        Some(database) => with_endpoint(env, &database.endpoint),
        None => env,
    }
}

/// The embedded DynamoDB takes any keys.
fn with_endpoint(env: Env, endpoint: &str) -> Env {
    env.or(AWS_REGION.name(), "local")
        .or(AWS_ACCESS_KEY_ID.name(), "local")
        .or(AWS_SECRET_ACCESS_KEY.name(), "local")
        .or(AWS_ENDPOINT_URL_DYNAMODB.name(), endpoint)
}

async fn metrics(settings: &Settings) -> Result<Option<MetricsServer>, StartError> {
    match settings.metrics_port {
        Some(port) => {
            let wanted = SocketAddr::new(settings.host, port);
            Ok(Some(MetricsServer::start(wanted).await?))
        }
        None => Ok(None),
    }
}
