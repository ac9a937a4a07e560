//! A function's metrics: recorded from its start, written with the log line of each request.

use crate::{
    clock::Clock,
    config::{Env, MetricsSettings},
    telemetry::Emf,
};

/// Starts recording, unless metrics are off. Configuration errors are recorded in `env`.
pub(super) fn record(env: &Env) {
    let settings = MetricsSettings::read(env);
    if settings.emf {
        Emf::new(&settings.namespace, Clock::System).install();
    }
}
