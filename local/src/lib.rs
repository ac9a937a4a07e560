//! The whole backend on one port, for development: the routes of all functions, an embedded
//! DynamoDB that the real SDK talks to, and a simulated WeChat. Never deployed.

mod admin;
mod banner;
mod breaker;
pub mod dotenv;
mod feed;
mod gateway;
mod keys;
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
mod settings;
mod simulated;
mod text_log;

pub use self::gateway::Gateway;
pub use ::gateway::{
    DataDirError, Database, FUNCTIONS, ServerLimits, WORKERS, create_table, database_client,
    enable_stream, ignored_names, routes, serve, serve_within,
};
pub use admin::make_administrator;
pub use banner::banner;
pub use breaker::breaker;
pub use feed::ChangeFeed;
pub use keys::KeySet;
pub use objects::{ObjectStore, StoreKeys};
pub use openapi::{DeclareOperations, OPERATIONS, openapi};
pub use phone::release_phone;
pub use playground::LogTail;
pub use queue::{MessageQueue, Poller};
pub use sagas::resume_sagas;
pub use seal::seal;
pub use settings::{DOCUMENTED, LOCAL_APP_ID, LOCAL_APP_SECRET, Settings, all_settings};
pub use text_log::log_lines;

use thiserror::Error;

/// Why the gateway does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A port, the embedded DynamoDB or the metrics.
    #[error(transparent)]
    Gateway(#[from] ::gateway::StartError),
    /// The built-in object store does not start.
    #[error("the built-in object store does not start: {0}")]
    Objects(std::io::Error),
    /// The simulated WeChat does not start.
    #[error("the simulated WeChat: {0}")]
    Simulator(#[from] wechat_simulator::ControlError),
    /// Some settings are invalid.
    #[error("these settings are invalid:\n{}", list(.0))]
    Settings(#[from] shared::config::ConfigErrors),
}

/// A line for each setting.
fn list(errors: &shared::config::ConfigErrors) -> String {
    let lines = errors.0.iter();
    let lines = lines.map(|error| format!("  {}: {}", error.name, error.what));
    lines.collect::<Vec<_>>().join("\n")
}
