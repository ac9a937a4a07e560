//! Metrics of a function: recorded from its start, written with each answer.

use std::sync::OnceLock;

use crate::{
    clock::Clock,
    config::{Env, MetricsSettings},
    telemetry::{self, Emf},
};

/// This process's recorder: there can be only one.
static RECORDER: OnceLock<Emf> = OnceLock::new();

/// Records from now on, unless metrics are off. Config errors are recorded in `env`.
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

/// Writes what was recorded. Before the answer leaves: after it, Lambda may freeze the instance.
pub(super) fn flush() {
    let written = RECORDER.get().map(|emf| emf.flush(&mut std::io::stdout()));
    if let Some(Err(error)) = written {
        tracing::warn!(%error, "metrics can't be written");
    }
}
