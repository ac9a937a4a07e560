//! The whole backend as one process, for people with machines of their own: the routes of all
//! functions on one port, readiness, metrics, and credentials that are renewed.
//!
//! Strict where `make run` is lenient: it starts with nothing that is meant for development.

mod credentials;
mod health;
mod ready;
mod sagas;
mod sending;
mod serving;
mod settings;
mod strict;
mod table;

use std::process::ExitCode;

pub use credentials::CredentialsError;
pub use health::check_health;
pub use sagas::resume_sagas;
pub use serving::{Outcome, Server};
pub use settings::own_settings;
pub use table::create_table;

use thiserror::Error;

/// Why the server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Some settings are invalid.
    #[error(transparent)]
    Settings(#[from] shared::config::ConfigErrors),
    /// A port, the embedded data or the metrics.
    #[error(transparent)]
    Gateway(#[from] gateway::StartError),
    /// The folder of the embedded data can't be used.
    #[error("EMBEDDED_DATA: {path} {what}", path = .0.display(), what = .1)]
    Embedded(std::path::PathBuf, String),
    /// The platform gives no credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Logs why the server does not start, as one JSON line even when logging is not set up or off.
#[must_use]
pub fn refuse(why: &str) -> ExitCode {
    tracing::error!(why, "start refused");
    if !tracing::event_enabled!(tracing::Level::ERROR) {
        println!(
            "{}",
            serde_json::json!({ "level": "ERROR", "message": "start refused", "why": why })
        );
    }
    ExitCode::FAILURE
}
