//! The whole backend on one port, for development: the routes of all functions, an embedded
//! DynamoDB reached through the real SDK, and a simulated WeChat. Never deployed.

mod banner;
mod breaker;
mod database;
mod gateway;
mod keys;
mod listen;
mod metrics;
mod push;
mod seal;
mod serve;
mod settings;

pub use banner::banner;
pub use breaker::breaker;
pub use database::{Database, create_table};
pub use gateway::{FUNCTIONS, Gateway, routes};
pub use keys::KeySet;
pub use seal::seal;
pub use serve::serve;
pub use settings::{LOCAL_APP_ID, LOCAL_APP_SECRET, Settings};

use thiserror::Error;

/// Why the gateway does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The port can't be had.
    #[error("{0} is in use by another program; choose another port: {1}=9001 make run")]
    PortTaken(std::net::SocketAddr, &'static str),
    /// The address can't be listened on for another reason.
    #[error("can't listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// The embedded DynamoDB does not start.
    #[error("the embedded DynamoDB does not start: {0}")]
    Database(String),
    /// The simulated WeChat can't be set up.
    #[error("the simulated WeChat: {0}")]
    Simulator(#[from] wechat_simulator::ControlError),
    /// Metrics can't be recorded.
    #[error("metrics: {0}")]
    Metrics(String),
    /// Settings that can't be used.
    #[error("settings: {0}")]
    Settings(#[from] shared::config::ConfigErrors),
}
