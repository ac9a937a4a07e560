//! Allocations of a function's routes, on the thread that an instance has.

use std::{sync::Once, time::Duration};

use axum::{Router, body::Body, extract::Request};
use e2e::settings::AWS_ENVIRONMENT;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    config::Env,
    edge::Arrival,
    instance::Instance,
    random::Random,
    telemetry::{self, LevelFilter},
};
use tokio::time::Instant;
use tower::ServiceExt;

use super::{
    file::{Figure, Tolerance},
    surroundings::{Surroundings, WARM_UP},
    wire::median,
};

/// How many requests are measured.
const REQUESTS: usize = 51;

/// The figures of a warm request.
pub fn measure(request: &str, function: &str) -> [Figure; 2] {
    log_to_nowhere();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let surroundings = runtime.block_on(Surroundings::start());
    let mut requests = runtime.block_on(surroundings.requests(function, REQUESTS));
    let app = runtime.block_on(app(function, &surroundings));
    let (mut counts, mut bytes) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP * REQUESTS + REQUESTS {
        let (app, event) = (app.clone(), requests.event());
        let event = request_of(&serde_json::from_slice(&event).unwrap());
        let mut response = Value::Null;
        let allocated = allocation_counter::measure(|| {
            response = runtime.block_on(answer(app, event));
        });
        requests.read_response(&response);
        if round >= WARM_UP * REQUESTS {
            counts.push(allocated.count_total);
            bytes.push(allocated.bytes_total);
        }
    }
    let figure = |key: &str, samples: Vec<u64>, tolerance| Figure {
        table: request.to_owned(),
        key: key.to_owned(),
        now: median(samples).into(),
        tolerance,
    };
    [
        figure("allocations", counts, Tolerance::PercentOrOne(2)),
        figure("allocated-bytes", bytes, Tolerance::Percent(2)),
    ]
}

/// The function's routes with all layers, connected.
async fn app(function: &str, surroundings: &Surroundings) -> Router {
    let name = function.replace('-', "_");
    let (_, routes) = local::FUNCTIONS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let variables = surroundings.direct.variables().iter().cloned();
    let by_lambda = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = Env::new(variables.chain(by_lambda));
    let instance = Instance::new(env, Clock::System, Random::System);
    let app = instance.app(routes(&instance)).unwrap();
    instance.connect().await;
    app
}

/// The request that `runtime` makes of an event.
fn request_of(event: &Value) -> Request {
    let http = &event["requestContext"]["http"];
    let mut request = Request::builder()
        .method(http["method"].as_str().unwrap())
        .uri(event["rawPath"].as_str().unwrap());
    for (name, value) in event["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    let body = event["body"].as_str().unwrap_or_default().to_owned();
    let mut request = request.body(Body::from(body)).unwrap();
    let text = |member: &Value| member.as_str().map(str::to_owned);
    request.extensions_mut().insert(Arrival {
        peer: text(&http["sourceIp"]).and_then(|address| address.parse().ok()),
        request_id: text(&event["requestContext"]["requestId"]),
        deadline: Some(Instant::now() + Duration::from_secs(10)),
        ..Arrival::default()
    });
    request
}

/// The response as Lambda gets it.
async fn answer(app: Router, request: Request) -> Value {
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    json!({"statusCode": status, "body": std::str::from_utf8(&body).unwrap()})
}

/// Log lines are written as by a function, but not kept.
fn log_to_nowhere() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let crates = local::FUNCTIONS.iter().map(|(name, _)| *name);
        telemetry::init(
            LevelFilter::INFO,
            crates,
            telemetry::json_lines(std::io::sink),
        )
        .unwrap();
    });
}
