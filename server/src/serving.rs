//! The server's life: start, service, stop.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::Router;
use gateway::{
    DataDirError, Database, MetricsServer, ServerLimits, listen, routes, run_schedule, serve_within,
};
use shared::{
    clock::Clock,
    config::{
        AVATAR_BUCKET, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION,
        AWS_SECRET_ACCESS_KEY, AwsCredentials, AwsKeys, ConfigErrors, Env, MESSAGE_QUEUE_URL,
        REDIS_IAM_USER,
    },
    instance::Instance,
    random::Random,
    request,
    runtime::Invoker,
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Duration, sleep, timeout},
};

use crate::{StartError, credentials::Renewal, ready, sending::Sending, settings::Settings};

/// After the stop, for connections without a request to bring one more.
const DRAIN: Duration = Duration::from_secs(2);
/// For a client to read the last answer.
const LINGER: Duration = Duration::from_secs(1);

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
    /// The worker, for what its schedule asks.
    worker: Invoker,
    /// What sends messages to users, where they are on.
    messages: Option<Sending>,
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
        let source = Renewal::source(&env, needs_keys(&env, &settings));
        // Before anything is opened or asked.
        check_all(&env, &settings)?;
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
        let folder = database.as_ref().and_then(Database::folder);
        let ready = ready::router(&instance, folder, is_stopping);
        let messages = Sending::of(&instance, &settings);
        let app = instance.app(routes(&instance))?.merge(ready);
        if let Some(database) = &database {
            let client = gateway::database_client(&database.endpoint);
            gateway::create_table(&client, instance.dynamo().table()).await?;
        }
        instance.connect().await;
        Ok(Self {
            worker: gateway::worker(&instance),
            messages,
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
            Some(tokio::spawn(run_schedule(self.worker))),
        ];
        let mut messages = self
            .messages
            .map(|sending| sending.start(stopping.subscribe()));
        let limits = limits(&settings);
        let (stopped, mut has_stopped) = watch::channel(false);
        let delay = settings.delay;
        let stop = async move {
            stop.await;
            stopping.send_replace(true);
            tracing::info!(delay_seconds = delay.as_secs(), "stopping");
            sleep(delay).await;
            stopped.send_replace(true);
        };
        let progress = Progress::default();
        let serving = async {
            serve_within(limits, self.listener, self.app, stop).await?;
            progress.finish_after_answers(messages.as_mut()).await;
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
        end(background.into_iter().chain([messages]), self.database).await;
        if matches!(outcome, Ok(Outcome::Abandoned)) {
            progress.report();
        } else {
            tracing::info!("stopped");
        }
        outcome
    }

    fn announce(&self) {
        for name in &self.settings.ignored_names {
            tracing::warn!(name, "no setting has this name");
        }
        if self.settings.allows_simulator {
            tracing::warn!("ALLOW_SIMULATOR is on: anybody can log in as anybody");
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

/// How far a server is that stops.
#[derive(Default)]
struct Progress {
    /// Every request is answered.
    is_answered: AtomicBool,
    /// So has ended what they had started.
    is_finished: AtomicBool,
}

impl Progress {
    /// Waits for what goes on after the last answer.
    async fn finish_after_answers(&self, messages: Option<&mut JoinHandle<()>>) {
        self.is_answered.store(true, Ordering::Relaxed);
        request::all_finished().await;
        self.is_finished.store(true, Ordering::Relaxed);
        if let Some(messages) = messages {
            // One that panicked has said so.
            let _ = messages.await;
        }
    }

    /// Says what was abandoned.
    fn report(&self) {
        if !self.is_answered.load(Ordering::Relaxed) {
            tracing::error!("stopped, with requests unanswered");
        } else if !self.is_finished.load(Ordering::Relaxed) {
            tracing::error!("stopped, before what answered requests had started was finished");
        } else {
            tracing::error!("stopped, while messages to users were being sent");
        }
    }
}

/// All of them are below `SHUTDOWN_SECONDS`, so that idle connections never look like requests.
fn limits(settings: &Settings) -> ServerLimits {
    let most = settings.shutdown / 2;
    ServerLimits {
        connections: settings.connections,
        idle: settings.keep_alive,
        drain: DRAIN.min(most),
        linger: LINGER.min(most),
        ..ServerLimits::default()
    }
}

/// Everything that is wrong with the settings, those of the functions included, which say so when they
/// are built: once with stand-ins for what is not known yet. Nothing is opened or asked.
fn check_all(env: &Env, settings: &Settings) -> Result<(), ConfigErrors> {
    const NOWHERE: &str = "http://127.0.0.1:1";
    let mut trial = env.without_errors();
    if settings.embedded.is_some() {
        trial = with_endpoint(trial, NOWHERE);
    }
    if AWS_ACCESS_KEY_ID.get(env).is_none() {
        trial = trial.with_credentials(AwsCredentials::new(AwsKeys {
            id: "unknown".to_owned(),
            secret: "unknown".into(),
            session: None,
        }));
    }
    let instance = Instance::new(trial, Clock::System, Random::System);
    drop(Sending::of(&instance, settings));
    let of_functions = instance.app(routes(&instance)).err();
    let own = env.validate().err();
    let mut errors = own.map_or_else(Vec::new, |errors| errors.0);
    for error in of_functions.into_iter().flat_map(|errors| errors.0) {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(errors))
    }
}

/// Whether anybody looks at the AWS keys: the embedded DynamoDB takes any; a bucket, a Redis with IAM and
/// a queue do not.
fn needs_keys(env: &Env, settings: &Settings) -> bool {
    settings.embedded.is_none() || signs_for_others(env)
}

fn signs_for_others(env: &Env) -> bool {
    AVATAR_BUCKET.get(env).is_some()
        || REDIS_IAM_USER.get(env).is_some()
        || MESSAGE_QUEUE_URL.get(env).is_some()
}

/// Ends what is not needed without requests.
async fn end(background: impl Iterator<Item = Option<JoinHandle<()>>>, database: Option<Database>) {
    for task in background.flatten() {
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
    let database = opened.map_err(|error| match error {
        gateway::StartError::DataDir(DataDirError::InUse(path)) => {
            StartError::Embedded(path, "is in use by another process".to_owned())
        }
        gateway::StartError::DataDir(DataDirError::Unusable(path, error)) => {
            StartError::Embedded(path, format!("can't be used: {error}"))
        }
        error => error.into(),
    })?;
    if database.folder().is_some_and(|folder| !folder.is_locked()) {
        let what =
            "can't be locked, so that another server could write to it too: use a local disk";
        return Err(StartError::Embedded(folder.to_owned(), what.to_owned()));
    }
    Ok(database)
}

fn with_database(env: Env, database: Option<&Database>) -> Env {
    match database {
        Some(database) => with_endpoint(env, &database.endpoint),
        None => env,
    }
}

/// The embedded DynamoDB takes any keys and any region.
fn with_endpoint(env: Env, endpoint: &str) -> Env {
    let env = env.or(AWS_ENDPOINT_URL_DYNAMODB.name(), endpoint);
    if signs_for_others(&env) {
        return env;
    }
    env.or(AWS_REGION.name(), "local")
        .or(AWS_ACCESS_KEY_ID.name(), "local")
        .or(AWS_SECRET_ACCESS_KEY.name(), "local")
}

async fn metrics(settings: &Settings) -> Result<Option<MetricsServer>, StartError> {
    match settings.metrics_port {
        Some(port) => {
            let wanted = SocketAddr::new(settings.metrics_host, port);
            Ok(Some(MetricsServer::start(wanted).await?))
        }
        None => Ok(None),
    }
}
