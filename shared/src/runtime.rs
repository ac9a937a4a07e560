//! Runs a function's routes on Lambda.

mod late;
mod metrics;

use std::{convert::Infallible, pin::Pin, process::ExitCode, time::Duration};

use axum::{Router, response::Response};
use lambda_http::{
    Adapter, Body, Context, IntoResponse, LambdaEvent, Request, RequestExt,
    request::{LambdaRequest, RequestContext},
    tower::{Service, ServiceBuilder, service_fn},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use sync_wrapper::SyncWrapper;
use tokio::time::Instant;

use self::late::Late;
use crate::{
    clock::Clock,
    config::{ConfigErrors, Env, FetchTimeouts, References, ResolveError},
    edge::{ClientIp, OriginalPath, PlatformDeadline, RequestId},
    instance::Instance,
    random::Random,
    telemetry,
};

/// Before the first event. An extension that is not ready soon will be only after it, see [`late`].
const AT_START: FetchTimeouts = FetchTimeouts {
    ready: Duration::from_millis(100),
    whole: Duration::from_secs(5),
};

/// A function's `routes`.
pub type Routes = fn(&Instance) -> Router;

/// Builds the parts, connects them, and answers events until Lambda ends the process. `name` is the
/// function's crate, whose log lines are written at `LOG_LEVEL`.
///
/// An instance is given one event at a time, and one thread is enough; where Lambda gives it
/// several (`AWS_LAMBDA_MAX_CONCURRENCY`, on managed instances), all its processors work. Nothing
/// is flushed at the end, because everything was awaited before its answer; so no extension is
/// registered for a SIGTERM, which would cost each cold start a call.
#[must_use]
pub fn run(name: &'static str, routes: Routes) -> ExitCode {
    let env = Env::from_process();
    let level = env.get("LOG_LEVEL").unwrap_or("info");
    if let Err(error) = telemetry::init(level, [name], std::io::stdout) {
        return refuse(&format!("LOG_LEVEL: {error}"));
    }
    let runtime = match executor(&env).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.to_string()),
    };
    runtime.block_on(run_with(env, routes))
}

async fn run_with(env: Env, routes: Routes) -> ExitCode {
    let env = match References::of(&env) {
        None => env,
        Some(references) => match references.follow(AT_START).await {
            Ok(env) => env,
            Err(ResolveError::Failed(problems)) => return refuse(&problems.to_string()),
            Err(ResolveError::NotReady(_)) => return run_late(references, routes).await,
        },
    };
    match start(env, routes).await {
        Ok(app) => serve(app).await,
        Err(problems) => refuse(&problems.to_string()),
    }
}

async fn run_late(references: References, routes: Routes) -> ExitCode {
    let late = match Late::new(references, routes) {
        Ok(late) => late,
        Err(problems) => return refuse(&problems.to_string()),
    };
    serve(service_fn(move |request| {
        let late = late.clone();
        async move { Ok::<_, Infallible>(late.answer(request).await) }
    }))
    .await
}

/// Builds the parts and connects them.
async fn start(env: Env, routes: Routes) -> Result<Router, ConfigErrors> {
    metrics::record(&env);
    let instance = Instance::new(env, Clock::System, Random::System);
    let app = instance.app(routes(&instance))?;
    instance.connect().await;
    Ok(app)
}

/// Answers events until Lambda ends the process.
async fn serve<S>(app: S) -> ExitCode
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let app = ServiceBuilder::new()
        .map_request(|event| unwrap_event(event, &Clock::System))
        .map_response(|answer| {
            metrics::flush();
            Answer(SyncWrapper::new(answer))
        })
        .service(app);
    let events = ServiceBuilder::new()
        .map_request(Event::into_lambda_event)
        .service(Adapter::from(app));
    match lambda_runtime::run_concurrent(events).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error.to_string()),
    }
}

fn executor(env: &Env) -> tokio::runtime::Builder {
    let at_once = env
        .get("AWS_LAMBDA_MAX_CONCURRENCY")
        .and_then(|number| number.parse().ok())
        .unwrap_or(1_u32);
    if at_once > 1 {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    }
}

/// Says why the function does not start, as one JSON line whatever the state of logging.
fn refuse(why: &str) -> ExitCode {
    tracing::error!(why, "start refused");
    if !tracing::event_enabled!(tracing::Level::ERROR) {
        println!(
            "{}",
            serde_json::json!({ "level": "ERROR", "message": "start refused", "why": why })
        );
    }
    ExitCode::FAILURE
}

/// An answer that can be shared between threads, as `lambda_http` wants it where events come
/// several at once; axum's bodies can only be sent.
struct Answer(SyncWrapper<Response>);

impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        self.0.into_inner().into_response()
    }
}

/// An HTTP event. `lambda_http` tries the kinds one after the other, and a failed try costs as much
/// as a good one; here the event's own `version` decides.
struct Event(LambdaRequest);

impl Event {
    fn into_lambda_event(event: LambdaEvent<Self>) -> LambdaEvent<LambdaRequest> {
        LambdaEvent {
            payload: event.payload.0,
            context: event.context,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(event: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(event)?.get();
        let request = if is_version_2(raw) {
            serde_json::from_str(raw).map(LambdaRequest::ApiGatewayV2)
        } else {
            serde_json::from_str(raw).map(LambdaRequest::ApiGatewayV1)
        };
        // The library's text can quote the event, and with it a token.
        request
            .map(Self)
            .map_err(|_| D::Error::custom("not an HTTP event of API Gateway or of a function URL"))
    }
}

/// API Gateway HTTP APIs and function URLs say `"version":"2.0"`.
fn is_version_2(event: &str) -> bool {
    #[derive(Deserialize)]
    struct Version<'a> {
        #[serde(borrow)]
        version: Option<&'a str>,
    }
    serde_json::from_str(event).is_ok_and(|Version { version }| version == Some("2.0"))
}

/// Takes out of the event what the edge needs: the request id, who called, how much time there is,
/// and the path that routes are written for.
fn unwrap_event(mut request: Request, clock: &Clock) -> Request {
    let (id, source) = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            let (id, stage) = (context.request_id.clone(), context.stage.clone());
            let source = context.http.source_ip.clone();
            if let Some(stage) = stage.filter(|stage| stage != "$default") {
                strip_stage(&mut request, &stage);
            }
            (id, source)
        }
        Some(RequestContext::ApiGatewayV1(context)) => {
            let (id, source) = (
                context.request_id.clone(),
                context.identity.source_ip.clone(),
            );
            // A REST event's path has no stage; `lambda_http` puts it in front, unless the path
            // looks as if it stood there (a stage called `api`).
            let (path, called) = (request.raw_http_path().to_owned(), context.path.clone());
            set_path(&mut request, &path);
            called.map(|path| request.extensions_mut().insert(OriginalPath(path)));
            (id, source)
        }
        _ => (None, None),
    };
    let deadline = request
        .lambda_context_ref()
        .and_then(|context| deadline(context, clock));
    let extensions = request.extensions_mut();
    id.map(|id| extensions.insert(RequestId(id)));
    // The console's test of a REST API sends a word instead of an address.
    source
        .and_then(|source| source.parse().ok())
        .map(|address| extensions.insert(ClientIp::new(address)));
    deadline.map(|deadline| extensions.insert(deadline));
    request
}

/// When Lambda ends the invocation, which it says in milliseconds since the epoch. A time that has
/// passed is none: the emulators of some tools send a constant.
fn deadline(context: &Context, clock: &Clock) -> Option<PlatformDeadline> {
    let now = u64::try_from(clock.now().as_millisecond()).ok()?;
    let left = context.deadline.checked_sub(now)?;
    Instant::now()
        .checked_add(Duration::from_millis(left))
        .map(PlatformDeadline)
}

/// An HTTP API's event has a named stage in front of its path; routes are written without it.
fn strip_stage(request: &mut Request, stage: &str) {
    let rest = request
        .uri()
        .path()
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(stage));
    if let Some(rest) = rest.filter(|rest| rest.starts_with('/')).map(str::to_owned) {
        let called = OriginalPath(request.uri().path().to_owned());
        set_path(request, &rest);
        request.extensions_mut().insert(called);
    }
}

/// Replaces the path and keeps the query.
fn set_path(request: &mut Request, path: &str) {
    let mut parts = request.uri().clone().into_parts();
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let Ok(path_and_query) = format!("{path}{query}").parse() else {
        return;
    };
    parts.path_and_query = Some(path_and_query);
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(uri: &str, stage: &str) -> String {
        let mut request = Request::default();
        *request.uri_mut() = uri.parse().unwrap();
        strip_stage(&mut request, stage);
        request.uri().to_string()
    }

    #[test]
    fn a_named_stage_is_not_part_of_the_route() {
        assert_eq!(
            stripped("https://a.example/prod/health?deep=1", "prod"),
            "https://a.example/health?deep=1"
        );
        assert_eq!(
            stripped("https://a.example/production/health", "prod"),
            "https://a.example/production/health"
        );
        assert_eq!(
            stripped("https://a.example/health", "prod"),
            "https://a.example/health"
        );
    }

    fn unwrapped(event: &serde_json::Value) -> Request {
        let Event(event) = serde_json::from_str(&event.to_string()).unwrap();
        unwrap_event(event.into(), &Clock::System)
    }

    fn routed(event: &serde_json::Value) -> String {
        unwrapped(event).uri().path_and_query().unwrap().to_string()
    }

    fn client(event: &serde_json::Value) -> Option<String> {
        unwrapped(event)
            .extensions()
            .get::<ClientIp>()
            .map(|client| client.address().to_string())
    }

    #[test]
    fn the_caller_is_whom_the_platform_names_whatever_headers_say() {
        let http = |source: &str| {
            serde_json::json!({
                "version": "2.0", "rawPath": "/", "headers": {"x-forwarded-for": "192.0.2.66"},
                "requestContext": {"http": {"method": "GET", "sourceIp": source}},
            })
        };
        assert_eq!(client(&http("203.0.113.7")).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&http("2001:db8::1")).as_deref(), Some("2001:db8::1"));
        let rest = |source: &str| {
            serde_json::json!({
                "resource": "/", "path": "/", "httpMethod": "GET", "headers": {"X-Forwarded-For": "192.0.2.66"},
                "requestContext": {"httpMethod": "GET", "identity": {"sourceIp": source}},
            })
        };
        assert_eq!(client(&rest("203.0.113.7")).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&rest("test-invoke-source-ip")), None);
    }

    #[test]
    fn the_time_that_is_left_is_lambdas_unless_it_has_passed() {
        let now = "2026-11-23T08:00:00.123Z".parse().unwrap();
        let clock = Clock::Manual(crate::clock::ManualClock::new(now));
        let left = |deadline: i64| {
            let mut context = Context::default();
            context.deadline = u64::try_from(deadline).unwrap();
            super::deadline(&context, &clock).map(|PlatformDeadline(end)| end - Instant::now())
        };
        let milliseconds = |number| Duration::from_millis(number);
        let in_time = left(now.as_millisecond() + 5000).unwrap();
        assert!(
            in_time <= milliseconds(5000) && in_time > milliseconds(4000),
            "{in_time:?}"
        );
        assert_eq!(left(now.as_millisecond() - 1), None);
        assert_eq!(left(600_000), None);
    }

    #[test]
    fn a_stage_with_the_name_of_a_routes_first_part_hides_no_route() {
        let rest = serde_json::json!({
            "resource": "/{proxy+}", "path": "/api/v1/user/info", "httpMethod": "GET",
            "queryStringParameters": {"a": "1"}, "requestContext": {"stage": "api", "httpMethod": "GET"},
        });
        assert_eq!(routed(&rest), "/api/v1/user/info?a=1");
        let http = serde_json::json!({
            "version": "2.0", "rawPath": "/api/api/v1/user/info", "rawQueryString": "a=1",
            "requestContext": {"stage": "api", "http": {"method": "GET"}},
        });
        assert_eq!(routed(&http), "/api/v1/user/info?a=1");
    }
}
