//! `local admin USER`: makes a user an administrator.
//!
//! There is no open endpoint for this: whoever can write the table can make the first one.

use std::path::Path;

use shared::{
    clock::Clock,
    config::{AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION, Env, REDIS_URL},
    ids::UserId,
    instance::Instance,
    random::Random,
};

use crate::{
    data_dir::{DataDir, DataDirError},
    database::Database,
    settings::{Settings, with_local_defaults},
};

/// Nothing calls WeChat here.
const NO_WECHAT: &str = "http://127.0.0.1:1";

/// Gives the role `admin` to the user with the id `user`, and forgets their cached profile. Can be
/// repeated. The log gets an audit line, unless the user has the role already.
///
/// The table is the one that the settings name. Where they name neither a DynamoDB nor a region it is
/// that of `make run`, running or not.
///
/// # Errors
/// A text for the user: not a user id, no such user, invalid settings, or a store is unavailable.
pub async fn make_administrator(env: Env, user: &str) -> Result<(), String> {
    let id: UserId = user
        .parse()
        .map_err(|_| format!("{user:?} is not a user id; usage: make admin USER=<user id>"))?;
    if REDIS_URL.get(&env).is_none() {
        eprintln!(
            "REDIS_URL is not set: the rights hold at once, a cached profile shows the old role until it expires"
        );
    }
    let names_a_table = AWS_ENDPOINT_URL_DYNAMODB.get(&env).or(AWS_REGION.get(&env));
    if names_a_table.is_some() {
        return grant(env, id).await;
    }
    let settings = Settings::record(&env);
    env.validate().map_err(|errors| errors.to_string())?;
    let embedded = Embedded::open(&settings.data_dir).await?;
    let env = with_local_defaults(env, &settings, embedded.endpoint(), NO_WECHAT);
    let granted = grant(env, id).await;
    embedded.close().await;
    granted
}

async fn grant(env: Env, id: UserId) -> Result<(), String> {
    let instance = Instance::new(env, Clock::System, Random::System);
    let accounts = instance.accounts();
    let env = instance.env();
    env.validate().map_err(|errors| errors.to_string())?;
    instance.connect().await;
    let made = accounts.make_administrator(id).await;
    made.map_err(|error| error.to_string())
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
            Err(crate::StartError::DataDir(DataDirError::InUse(folder))) => {
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
