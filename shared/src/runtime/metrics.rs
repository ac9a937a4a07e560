//! A function's metrics: recorded from its start, written with the log line of each request.

use crate::{
    clock::Clock,
    config::{Env, MetricsSettings},
    telemetry::{Emf, Views},
};

/// Starts recording, unless metrics are off. `crate_name` is the function's crate. Configuration errors
/// are recorded in `env`.
pub(super) fn record(env: &Env, crate_name: &str) {
    let settings = MetricsSettings::read(env);
    if let Some(detail) = settings.detail {
        let function = crate_name.replace('_', "-");
        let views = Views { function, detail };
        Emf::new(&settings.namespace, views, Clock::System).install();
    }
}
