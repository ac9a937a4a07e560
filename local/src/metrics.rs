//! What is counted and measured, for Prometheus, on a port of its own: who may call the API must
//! not read it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use shared::telemetry;
use tokio::{net::TcpListener, time::interval};

use crate::{StartError, listen::listen};

/// Upper bounds of the latencies' buckets, in seconds: from a profile out of Redis to the end of a
/// request's time.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// How often what was measured is sorted into the buckets; between two times every value is kept.
const UPKEEP: Duration = Duration::from_secs(5);
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The recorder of this process, and where it is read.
pub(crate) struct MetricsServer {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    recorded: PrometheusHandle,
}

impl MetricsServer {
    /// Records from now on.
    ///
    /// # Errors
    /// [`StartError`] when the port can't be had, or this process records elsewhere.
    pub(crate) async fn start(host: IpAddr, port: u16) -> Result<Self, StartError> {
        let listener = listen("METRICS_PORT", SocketAddr::new(host, port)).await?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen(host.to_string(), error))?;
        let failed = |error: &dyn std::fmt::Display| StartError::Metrics(error.to_string());
        let builder = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets(&BUCKETS);
        let recorder = builder.map_err(|error| failed(&error))?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
        telemetry::metrics::describe();
        Ok(Self {
            address,
            listener,
            recorded: handle,
        })
    }

    /// Serves `GET /metrics`. Does not end.
    pub(crate) async fn serve(self) {
        let recorded = self.recorded.clone();
        let text = async move || ([(CONTENT_TYPE, TEXT)], recorded.render());
        let serving = axum::serve(self.listener, Router::new().route("/metrics", get(text)));
        tokio::select! {
            served = serving.into_future() => tracing::error!(?served, "metrics are served no more"),
            () = keep_up(&self.recorded) => {}
        }
    }
}

/// Does not end.
async fn keep_up(recorded: &PrometheusHandle) {
    let mut times = interval(UPKEEP);
    loop {
        times.tick().await;
        recorded.run_upkeep();
    }
}
