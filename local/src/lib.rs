//! The whole backend on one port, for development: the routes of all functions, an embedded
//! DynamoDB that the real SDK talks to, and a simulated WeChat. Never deployed.

mod admin;
mod banner;
mod breaker;
mod data_dir;
mod database;
pub mod dotenv;
mod feed;
mod gateway;
mod keys;
mod listen;
mod metrics;
mod names;
mod objects;
mod on_table;
mod openapi;
mod own_page;
mod phone;
mod playground;
mod push;
mod queue;
mod sagas;
mod seal;
mod serve;
mod settings;
mod simulated;
mod text_log;

pub use admin::make_administrator;
pub use banner::banner;
pub use breaker::breaker;
pub use data_dir::DataDirError;
pub use database::{Database, create_table, database_client, enable_stream};
pub use feed::ChangeFeed;
pub use gateway::{FUNCTIONS, Gateway, WORKERS, routes};
pub use keys::KeySet;
pub use names::ignored_names;
pub use objects::{ObjectStore, StoreKeys};
pub use openapi::{DeclareOperations, OPERATIONS, openapi};
pub use phone::release_phone;
pub use playground::LogTail;
pub use queue::{MessageQueue, Poller};
pub use sagas::resume_sagas;
pub use seal::seal;
pub use serve::{ServerLimits, serve, serve_within};
pub use settings::{DOCUMENTED, LOCAL_APP_ID, LOCAL_APP_SECRET, Settings, all_settings};
pub use text_log::log_lines;

use thiserror::Error;

/// Why the gateway does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another program uses the port: the address, and what to do.
    #[error("{0} is in use by another program; {1}")]
    PortTaken(std::net::SocketAddr, String),
    /// Listening on the address failed for another reason.
    #[error("can't listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// The embedded DynamoDB does not start.
    #[error("the embedded DynamoDB does not start: {0}")]
    Database(String),
    /// The folder of the embedded DynamoDB can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The built-in object store does not start.
    #[error("the built-in object store does not start: {0}")]
    Objects(std::io::Error),
    /// The simulated WeChat does not start.
    #[error("the simulated WeChat: {0}")]
    Simulator(#[from] wechat_simulator::ControlError),
    /// Metrics recording does not start.
    #[error("metrics: {0}")]
    Metrics(String),
    /// Some settings are invalid.
    #[error("these settings are invalid:\n{}", list(.0))]
    Settings(#[from] shared::config::ConfigErrors),
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err takes"
)]
impl StartError {
    fn database(error: impl ToString) -> Self {
        Self::Database(error.to_string())
    }

    fn metrics(error: impl ToString) -> Self {
        Self::Metrics(error.to_string())
    }
}

/// A line for each setting.
fn list(errors: &shared::config::ConfigErrors) -> String {
    let lines = errors.0.iter();
    let lines = lines.map(|error| format!("  {}: {}", error.name, error.what));
    lines.collect::<Vec<_>>().join("\n")
}
