//! How cost grows: with users, sessions, connections, body sizes, and costs of one rate limit. A
//! table and a plot of each.

mod bodies;
mod connections;
mod costs;
mod sessions;
mod users;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use e2e::{
    binaries::{self, workspace},
    runtime_api::FunctionUnderTest,
    settings::Settings,
};

use crate::{
    functions::invoke,
    load::Timing,
    plot::{Panel, Plot},
    requests::Requests,
    stats::Samples,
};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Where the plots go.
    folder: &'static str,
    /// Requests at each step.
    samples: usize,
    /// The largest table is this many users, if it can be filled in time.
    users: u64,
    /// No larger table is filled when the last one took a tenth of this.
    filling: Duration,
    /// Of throughput at each step.
    timing: Timing,
}

impl Scale {
    /// What the documents show.
    pub const FULL: Self = Self {
        folder: "docs/performance",
        samples: 300,
        users: 1_000_000,
        filling: Duration::from_mins(2),
        timing: Timing {
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(4),
        },
    };
    /// To see whether it works.
    pub const SHORT: Self = Self {
        folder: "target/performance",
        samples: 30,
        users: 10_000,
        filling: Duration::from_mins(1),
        timing: Timing {
            warm_up: Duration::from_millis(200),
            duration: Duration::from_secs(1),
        },
    };
}

/// Measures everything.
pub async fn run(scale: Scale) {
    let folder = workspace().join(scale.folder);
    fs::create_dir_all(&folder).unwrap();
    publish(&folder, "users", &users::measure(scale).await);
    publish(&folder, "sessions", &sessions::measure(scale).await);
    publish(&folder, "connections", &connections::measure(scale).await);
    publish(&folder, "bodies", &bodies::measure(scale).await);
    publish(&folder, "costs", &costs::measure(scale).await);
}

fn publish(folder: &Path, name: &str, plot: &Plot) {
    plot.print();
    let file = folder.join(format!("{name}.svg"));
    plot.draw(&file).expect("the plot is drawn");
}

/// An instance of a function.
fn spawn(function: &str, settings: &Settings) -> FunctionUnderTest {
    let log = std::path::Path::new("/dev/null");
    FunctionUnderTest::spawn_logging_to(&binaries::function(function), settings.variables(), log)
}

/// The latencies of this many requests.
async fn latencies(function: &FunctionUnderTest, requests: &mut Requests, count: usize) -> Samples {
    let mut samples = Samples::default();
    for _ in 0..count {
        let answer = invoke(function, requests).await;
        samples.push(answer.answered - answer.handed_over);
    }
    samples
}

/// Latencies in ms, step by step.
#[derive(Debug, Default)]
struct Latency {
    median: Vec<f64>,
    p99: Vec<f64>,
}

impl Latency {
    fn push(&mut self, samples: &Samples) {
        assert!(samples.len() > 0, "no request was answered in time");
        self.median.push(milliseconds(samples.percentile(50)));
        self.p99.push(milliseconds(samples.percentile(99)));
    }

    fn panel(self, title: &'static str) -> Panel {
        let series = vec![("median", self.median), ("p99", self.p99)];
        Panel { title, series }
    }
}

/// A panel with one series.
fn panel(title: &'static str, values: Vec<f64>) -> Panel {
    let series = vec![("", values)];
    Panel { title, series }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a size with two decimals")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// How long something takes.
async fn time<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = future.await;
    (value, start.elapsed())
}
