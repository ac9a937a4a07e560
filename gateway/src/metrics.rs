//! Metrics for Prometheus, on a port of their own: callers of the API must not be able to read them.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use shared::telemetry;
use tokio::{net::TcpListener, time::interval};

use crate::{StartError, listen::listen};

/// Upper bounds of the latency buckets, in seconds: from a profile read from Redis to the deadline of
/// a request.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The interval at which values are sorted into the buckets. Until then each one is kept.
const UPKEEP: Duration = Duration::from_secs(5);
/// The content type of <https://prometheus.io/docs/instrumenting/exposition_formats/>.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics recorder of this process, and its HTTP server.
pub struct MetricsServer {
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
    recorder: PrometheusHandle,
}

impl MetricsServer {
    /// Starts recording, and listens on `wanted`.
    ///
    /// # Errors
    /// [`StartError`] when the port is unavailable, or another recorder is installed.
    pub async fn start(wanted: SocketAddr) -> Result<Self, StartError> {
        let (listener, address) = listen("METRICS_PORT", wanted).await?;
        let builder = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets(&BUCKETS);
        let recorder = builder.map_err(StartError::metrics)?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(StartError::metrics)?;
        telemetry::metrics::describe();
        Ok(Self {
            address,
            listener,
            recorder: handle,
        })
    }

    /// Serves `GET /metrics`. Never returns unless the listener fails.
    pub async fn serve(self) {
        let recorder = self.recorder.clone();
        let text = async move || ([(CONTENT_TYPE, TEXT_FORMAT)], recorder.render());
        let serving = axum::serve(self.listener, Router::new().route("/metrics", get(text)));
        tokio::select! {
            served = serving.into_future() => tracing::error!(?served, "the metrics server stopped"),
            () = run_upkeep(&self.recorder) => {}
        }
    }
}

/// Never returns.
async fn run_upkeep(recorder: &PrometheusHandle) {
    let mut ticks = interval(UPKEEP);
    loop {
        ticks.tick().await;
        recorder.run_upkeep();
    }
}
