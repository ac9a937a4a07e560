//! A function's metrics: recorded from its start, written before each response.

use std::sync::OnceLock;

use crate::{
    clock::Clock,
    config::{Env, MetricsSettings},
    telemetry::{self, Emf},
};

/// The recorder, which is global to the process.
static RECORDER: OnceLock<Emf> = OnceLock::new();

/// Starts recording, unless metrics are off. Configuration errors are recorded in `env`.
pub(super) fn record(env: &Env) {
    let settings = MetricsSettings::read(env);
    if !settings.emf || RECORDER.get().is_some() {
        return;
    }
    let emf = RECORDER.get_or_init(|| Emf::new(&settings.namespace, Clock::System));
    if metrics::set_global_recorder(emf.clone()).is_ok() {
        telemetry::metrics::describe();
    }
}

/// Writes what was recorded. Call it before the response: after it, Lambda may freeze the instance.
pub(super) fn flush() {
    let written = RECORDER.get().map(|emf| emf.flush(&mut std::io::stdout()));
    if let Some(Err(error)) = written {
        tracing::warn!(%error, "metrics can't be written");
    }
}
