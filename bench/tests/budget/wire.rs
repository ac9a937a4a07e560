//! Commands and round trips, and what is logged, of a function's binary over the Runtime API.

use std::{fs, path::Path, time::Duration};

use bench::functions::invoke;
use e2e::{
    binaries,
    runtime_api::FunctionUnderTest,
    wire_proxy::{Fault, Traffic},
};

use super::{
    file::{Figure, Tolerance},
    surroundings::{Surroundings, WARM_UP},
};

/// How many requests are measured.
const REQUESTS: usize = 21;
/// How far DynamoDB is away while they are. Calls that are made at the same time are on their way
/// at the same time then, also those of a debug build, which takes milliseconds to write one.
const DISTANCE: Duration = Duration::from_millis(50);

/// What one request caused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wire {
    commands: Vec<String>,
    round_trips: usize,
}

/// The figures of a warm request.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn measure(request: &str, function: &str) -> Vec<Figure> {
    let surroundings = Surroundings::start().await;
    let mut requests = surroundings.requests(function, REQUESTS).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let function = FunctionUnderTest::spawn_logging_to(
        binaries::path(function),
        surroundings.proxied.variables(),
        log.path(),
    );
    for _ in 0..WARM_UP * REQUESTS {
        invoke(&function, &mut requests).await;
    }
    surroundings.take();
    surroundings.dynamodb.set(Fault::Latency(DISTANCE)).await;
    let mut samples = [const { Vec::new() }; 3];
    let mut logged = Vec::new();
    for _ in 0..REQUESTS {
        let before = length(log.path());
        invoke(&function, &mut requests).await;
        logged.push(length(log.path()) - before);
        for (samples, wire) in samples.iter_mut().zip(surroundings.take()) {
            samples.push(wire);
        }
    }
    let figure = |key: &str, now, tolerance| Figure {
        table: request.to_owned(),
        key: key.to_owned(),
        now,
        tolerance,
    };
    let wires = ["redis", "dynamodb", "wechat"].into_iter().zip(samples);
    let wires = wires.flat_map(|(service, samples)| {
        let Wire {
            commands,
            round_trips,
        } = median(samples);
        let round_trips_key = format!("{service}-round-trips");
        [
            figure(service, commands.into(), Tolerance::Exact),
            figure(&round_trips_key, round_trips.into(), Tolerance::Exact),
        ]
    });
    let logged = figure("logged-bytes", median(logged).into(), Tolerance::Percent(5));
    wires.chain([logged]).collect()
}

impl Surroundings {
    /// What went to Redis, DynamoDB and WeChat since this was last called.
    fn take(&self) -> [Wire; 3] {
        [&self.redis, &self.dynamodb, &self.wechat].map(|proxy| proxy.take_traffic().into())
    }
}

impl From<Traffic> for Wire {
    fn from(traffic: Traffic) -> Self {
        // Without what a query holds, and in no order: some are sent at the same time.
        let commands = traffic.commands.iter();
        let mut commands: Vec<String> = commands
            .map(|command| command.split('?').next().unwrap_or_default().to_owned())
            .collect();
        commands.sort();
        Self {
            commands,
            round_trips: traffic.round_trips,
        }
    }
}

fn length(file: &Path) -> usize {
    fs::metadata(file).unwrap().len().try_into().unwrap()
}

/// Not the average: now and then a request also does what is due every few seconds.
pub fn median<T: Ord>(mut samples: Vec<T>) -> T {
    samples.sort();
    let middle = samples.len() / 2;
    samples.swap_remove(middle)
}
