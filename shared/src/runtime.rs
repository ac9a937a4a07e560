//! Runs a function's routes on Lambda.

use std::process::ExitCode;

use axum::Router;
use lambda_http::{
    Adapter, LambdaEvent, Request, RequestExt,
    request::{LambdaRequest, RequestContext},
    tower::ServiceBuilder,
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use crate::{clock::Clock, config::Env, edge::RequestId, instance::Instance, random::Random, telemetry};

/// A function's `routes`.
pub type Routes = fn(&Instance) -> Router;

/// Builds the parts, connects them, and answers events until Lambda ends the process. `name` is the function's crate,
/// whose log lines are written at `LOG_LEVEL`.
///
/// One thread: an instance handles one event at a time. Nothing is flushed at the end, because everything was awaited
/// before its answer; so no extension is registered for a SIGTERM, which would cost each cold start a call.
#[must_use]
pub fn run(name: &'static str, routes: Routes) -> ExitCode {
    let env = Env::from_process();
    let level = env.get("LOG_LEVEL").unwrap_or("info");
    if let Err(error) = telemetry::init(level, [name], std::io::stdout) {
        return refuse(&format!("LOG_LEVEL: {error}"));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.to_string()),
    };
    runtime.block_on(async {
        let instance = Instance::new(env, Clock::System, Random::System);
        let app = match instance.app(routes(&instance)) {
            Ok(app) => app,
            Err(problems) => return refuse(&problems.to_string()),
        };
        instance.connect().await;
        let app = ServiceBuilder::new().map_request(unwrap_event).service(app);
        let events = ServiceBuilder::new().map_request(Event::into_lambda_event).service(Adapter::from(app));
        match lambda_runtime::run(events).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&error.to_string()),
        }
    })
}

/// Says why the function does not start, as one JSON line whatever the state of logging.
fn refuse(why: &str) -> ExitCode {
    tracing::error!(why, "start refused");
    if !tracing::event_enabled!(tracing::Level::ERROR) {
        println!("{}", serde_json::json!({ "level": "ERROR", "message": "start refused", "why": why }));
    }
    ExitCode::FAILURE
}

/// An HTTP event. `lambda_http` tries the kinds one after the other, and a failed try costs as much as a good one; here
/// the event's own `version` decides.
struct Event(LambdaRequest);

impl Event {
    fn into_lambda_event(event: LambdaEvent<Self>) -> LambdaEvent<LambdaRequest> {
        LambdaEvent { payload: event.payload.0, context: event.context }
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
        request.map(Self).map_err(|_| D::Error::custom("not an HTTP event of API Gateway or of a function URL"))
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

/// Takes out of the event what the edge needs: the request id, and the path without the stage.
fn unwrap_event(mut request: Request) -> Request {
    let context = request.request_context_ref();
    let (id, stage) = match context {
        Some(RequestContext::ApiGatewayV2(context)) => (context.request_id.clone(), context.stage.clone()),
        Some(RequestContext::ApiGatewayV1(context)) => (context.request_id.clone(), context.stage.clone()),
        _ => (None, None),
    };
    if let Some(id) = id {
        request.extensions_mut().insert(RequestId(id));
    }
    if let Some(stage) = stage.filter(|stage| stage != "$default") {
        strip_stage(&mut request, &stage);
    }
    request
}

/// `lambda_http` puts a named stage in front of the path; routes are written without it.
fn strip_stage(request: &mut Request, stage: &str) {
    let mut parts = request.uri().clone().into_parts();
    let Some(path) = parts.path_and_query.as_ref() else { return };
    let rest = path.as_str().strip_prefix('/').and_then(|path| path.strip_prefix(stage));
    let Some(rest) = rest.filter(|rest| rest.starts_with('/')).and_then(|rest| rest.parse().ok()) else { return };
    parts.path_and_query = Some(rest);
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
        assert_eq!(stripped("https://a.example/prod/health?deep=1", "prod"), "https://a.example/health?deep=1");
        assert_eq!(stripped("https://a.example/production/health", "prod"), "https://a.example/production/health");
        assert_eq!(stripped("https://a.example/health", "prod"), "https://a.example/health");
    }
}
