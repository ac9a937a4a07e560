//! All functions on one port, without Lambda and API Gateway: what `make run` and the server of one's
//! own have in common. Never linked into a function.

mod data_dir;
mod database;
mod events;
mod functions;
mod listen;
mod metrics;
mod names;
mod sagas;
mod serve;
mod settings;

pub use self::metrics::MetricsServer;
pub use data_dir::{DataDir, DataDirError};
pub use database::{Database, create_table, database_client, database_client_with, enable_stream};
pub use events::{hand_over, run_schedule, send_due_messages};
pub use functions::{FUNCTIONS, WORKERS, messages, routes, worker};
pub use listen::listen;
pub use names::{check_names, ignored_names};
pub use sagas::resume_sagas;
pub use serve::{ServerLimits, serve, serve_within};
pub use settings::{
    DOCUMENTED, HOST, METRICS_PORT, PORT, SIMULATED_APP_SECRET, address, host,
    settings_of_functions,
};

pub use webhooks::WEBHOOKS;

use thiserror::Error;

/// Why it does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another program uses the port: the address, and what to do.
    #[error("{0} is in use by another program; {1}")]
    PortTaken(std::net::SocketAddr, String),
    /// Listening on the address failed for another reason.
    #[error("can't listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// The embedded DynamoDB does not start, or a table can't be made.
    #[error("the embedded DynamoDB does not start: {0}")]
    Database(String),
    /// The folder of the embedded DynamoDB can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Metrics recording does not start.
    #[error("metrics: {0}")]
    Metrics(String),
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
