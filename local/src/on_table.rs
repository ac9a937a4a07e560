//! Commands of an operator on the table: the one that the settings name, else that of `make run`.

use std::{net::Ipv4Addr, path::Path};

use ::gateway::{DataDir, DataDirError, Database, StartError, listen, serve};
use shared::config::{AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION, Env, REDIS_URL};

use crate::{
    gateway::{OBJECTS_FOLDER, open_store},
    settings::{LocalUrls, Settings, with_local_defaults},
};

/// Nothing calls WeChat here, and nobody reads pictures.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Runs `command` with settings that name a table. Where those of `env` name neither a DynamoDB nor a
/// region, they name that of `make run`, running or not.
///
/// # Errors
/// A text for the user: the command's, or that there is no table.
pub async fn on_table<T, F>(env: Env, command: impl FnOnce(Env) -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    if REDIS_URL.get(&env).is_none() {
        eprintln!(
            "REDIS_URL is not set: a running backend may show what it has cached for up to PROFILE_CACHE_SECONDS (10 minutes)"
        );
    }
    let names_a_table = AWS_ENDPOINT_URL_DYNAMODB.get(&env).or(AWS_REGION.get(&env));
    if names_a_table.is_some() {
        return command(env).await;
    }
    let settings = Settings::record(&env);
    env.validate().map_err(|errors| errors.to_string())?;
    let embedded = Embedded::open(&settings.data_dir).await?;
    let outcome = with_objects(env, &settings, embedded.endpoint(), command).await;
    embedded.close().await;
    outcome
}

/// Runs `command` on that table, with the object store of `make run` served beside it: deletions go on
/// there too.
async fn with_objects<T, F>(
    env: Env,
    settings: &Settings,
    dynamodb: &str,
    command: impl FnOnce(Env) -> F,
) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let loopback = (Ipv4Addr::LOCALHOST, 0).into();
    let (listener, address) = listen("PORT", loopback)
        .await
        .map_err(|error| error.to_string())?;
    let objects = format!("http://{address}");
    let urls = LocalUrls {
        dynamodb,
        wechat: NOWHERE,
        objects: &objects,
        pictures: NOWHERE,
        // Nothing is announced and nobody is written to from here: the functions do, wherever they run.
        webhooks: "http://127.0.0.1:1/0/webhooks",
        messages: "http://127.0.0.1:1/0/messages",
    };
    let env = with_local_defaults(env, settings, &urls);
    let folder = settings.data_dir.join(OBJECTS_FOLDER);
    let store = open_store(&env, folder).map_err(|error| error.to_string())?;
    let server = tokio::spawn(serve(listener, store.router(), std::future::pending()));
    let outcome = command(env).await;
    server.abort();
    outcome
}

/// The database of `make run`.
enum Embedded {
    /// Its server runs in another process, at this URL.
    Running(String),
    /// It is not running, so this process serves it.
    Opened(Database),
}

impl Embedded {
    async fn open(folder: &Path) -> Result<Self, String> {
        if !DataDir::has_database(folder) {
            let folder = folder.display();
            return Err(format!("DATA_DIR: nothing is stored in {folder} yet"));
        }
        match Database::start(Some(folder), 0).await {
            Ok(database) => Ok(Self::Opened(database)),
            Err(StartError::DataDir(DataDirError::InUse(folder))) => {
                let endpoint = DataDir::endpoint(&folder).map_err(|error| error.to_string())?;
                Ok(Self::Running(endpoint))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn endpoint(&self) -> &str {
        match self {
            Self::Running(endpoint) => endpoint,
            Self::Opened(database) => &database.endpoint,
        }
    }

    async fn close(self) {
        if let Self::Opened(database) = self {
            database.stop().await;
        }
    }
}
