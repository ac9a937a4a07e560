//! Steady load, and how long each request waited for Redis.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::test_app::{Api, LogCapture, Tokens, capture};
use futures_util::future::join_all;

/// For tests that measure or load the cores: they run one at a time.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Concurrent clients.
const CLIENTS: usize = 8;
/// A client's pause between two requests. Without it they would compete for the cores instead of
/// waiting for Redis.
const PAUSE: Duration = Duration::from_millis(20);

/// The outcome of one request.
#[derive(Debug, Clone)]
pub struct Sample {
    pub started: Instant,
    pub ended: Instant,
    pub status: u16,
    /// As its log line says.
    pub degraded: bool,
    pub redis_ms: f64,
}

/// Reads the profile repeatedly with [`CLIENTS`] clients until `during` is over. Returns all
/// requests in the order of their starts.
pub async fn under_load(
    api: &Api,
    tokens: &Tokens,
    during: impl Future<Output = ()>,
) -> Vec<Sample> {
    let log = capture();
    let (over, asked) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let client = async || {
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            let answer = api.info(&tokens.access).await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            asked
                .lock()
                .unwrap()
                .push((started, Instant::now(), answer.status, id));
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ending = async {
        during.await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all((0..CLIENTS).map(|_| client())), ending);
    with_log_lines(&log, asked.into_inner().unwrap())
}

fn with_log_lines(
    log: &LogCapture,
    mut asked: Vec<(Instant, Instant, u16, String)>,
) -> Vec<Sample> {
    asked.sort_by_key(|(started, ..)| *started);
    let lines = log.logs().json_where("message", &"request".into());
    let lines: HashMap<_, _> = lines
        .iter()
        .map(|line| (line["request_id"].as_str().unwrap(), line))
        .collect();
    let sample = |(started, ended, status, id): (Instant, Instant, u16, String)| {
        let line = lines[id.as_str()];
        let (degraded, redis_ms) = (
            line["degraded"].as_bool().unwrap(),
            line["redis_ms"].as_f64().unwrap(),
        );
        Sample {
            started,
            ended,
            status,
            degraded,
            redis_ms,
        }
    };
    asked.into_iter().map(sample).collect()
}

/// This percentile of the waits for Redis, in milliseconds.
pub fn percentile(samples: &[Sample], percent: usize) -> f64 {
    let mut waits: Vec<_> = samples.iter().map(|sample| sample.redis_ms).collect();
    waits.sort_by(f64::total_cmp);
    waits
        .get((waits.len() * percent / 100).min(waits.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// How long a fault lasts: longer in `make soak`.
pub fn lasting(short: Duration) -> Duration {
    if e2e::is_soak() { short * 10 } else { short }
}
