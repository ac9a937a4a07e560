//! Runs a function's routes on Lambda.

mod deferred_start;
mod event;
mod events;
mod metrics;
mod response;

use std::{convert::Infallible, process::ExitCode, time::Duration};

use axum::{Router, extract::Request, response::Response};
use lambda_runtime::{LambdaEvent, service_fn};
use tower::{Service, ServiceExt};

pub use self::events::{Events, Failure, Invocation};
use self::{deferred_start::DeferredStart, events::HttpEvents};
use crate::{
    clock::Clock,
    config::{
        ConfigErrors, Env, FetchTimeouts, ProcessSettings, References, ResolveError,
        log_unknown_names,
    },
    edge::Routes,
    instance::Instance,
    random::Random,
    telemetry,
};

/// Before the first event. An extension that is not ready by then becomes ready only after it: see
/// [`deferred_start`].
const AT_START: FetchTimeouts = FetchTimeouts {
    readiness: Duration::from_millis(100),
    total: Duration::from_secs(5),
};

/// The allocator of our binaries; each sets it in its `main.rs`. Requests allocate hundreds of times,
/// and glibc's allocator takes a sixth of their CPU time more.
pub use mimalloc::MiMalloc as Allocator;

/// Builds a function's routes from the parts of its instance.
pub type BuildRoutes = fn(&Instance) -> Routes;

/// What a process runs.
#[derive(Clone, Copy)]
struct Function {
    /// Its crate.
    name: &'static str,
    routes: BuildRoutes,
}

/// Builds and connects the parts, and serves events until Lambda ends the process. `name` is the
/// function's crate, whose log lines are written at `LOG_LEVEL`.
///
/// An instance usually gets one event at a time, for which one thread is enough; where Lambda sends
/// several (`AWS_LAMBDA_MAX_CONCURRENCY`, on managed instances), all processors are used. There is
/// nothing to flush at shutdown, because every write is awaited before the response; so no
/// extension is registered to get a SIGTERM, which would cost every cold start a call.
#[must_use]
pub fn run(name: &'static str, routes: BuildRoutes) -> ExitCode {
    run_for::<HttpEvents>(name, routes)
}

/// The same for events that are no HTTP requests: `E` makes requests of them, which the routes answer.
#[must_use]
pub fn run_for<E: Events>(name: &'static str, routes: BuildRoutes) -> ExitCode {
    let env = Env::from_process();
    let settings = ProcessSettings::read(&env);
    if let Err(error) = telemetry::init(
        settings.log_level,
        [name],
        telemetry::json_lines(std::io::stdout),
    ) {
        return refuse(&error.to_string());
    }
    log_unknown_names(&env);
    let runtime = match executor(settings.max_concurrency).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.to_string()),
    };
    // In a task: whatever wakes the future of `block_on` itself costs a system call.
    let function = Function { name, routes };
    match runtime.block_on(async { tokio::spawn(run_with::<E>(env, function)).await }) {
        Ok(code) => code,
        Err(panic) => refuse(&panic.to_string()),
    }
}

async fn run_with<E: Events>(env: Env, function: Function) -> ExitCode {
    let env = match References::of(&env) {
        None => env,
        Some(references) => match references.resolve(AT_START).await {
            Ok(env) => env,
            Err(ResolveError::Failed(errors)) => return refuse(&errors.to_string()),
            Err(ResolveError::NotReady(_)) => {
                return serve_deferred::<E>(references, function).await;
            }
        },
    };
    match start(env, function).await {
        Ok(app) => serve::<E, _>(app).await,
        Err(errors) => refuse(&errors.to_string()),
    }
}

async fn serve_deferred<E: Events>(references: References, function: Function) -> ExitCode {
    let deferred = match DeferredStart::new(references, function) {
        Ok(deferred) => deferred,
        Err(errors) => return refuse(&errors.to_string()),
    };
    serve::<E, _>(service_fn(move |request| {
        let deferred = deferred.clone();
        async move { Ok::<_, Infallible>(deferred.answer(request).await) }
    }))
    .await
}

/// Builds and connects the parts.
async fn start(env: Env, function: Function) -> Result<Router, ConfigErrors> {
    // Again: where secrets were fetched, this is not the environment that it was read from.
    let _ = ProcessSettings::read(&env);
    metrics::record(&env, function.name);
    let instance = Instance::new(env, Clock::System, Random::System);
    let app = instance.app((function.routes)(&instance))?;
    instance.connect().await;
    Ok(app)
}

/// Serves events until Lambda ends the process.
async fn serve<E, S>(app: S) -> ExitCode
where
    E: Events,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let events = service_fn(move |event: LambdaEvent<E::Event>| {
        let app = app.clone();
        let (form, request) = E::request(event.payload, &Invocation::new(event.context));
        async move {
            let Ok(response) = app.oneshot(request).await;
            E::answer(form, response).await
        }
    });
    match lambda_runtime::run_concurrent(events).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error.to_string()),
    }
}

/// An executor for this many concurrent events.
fn executor(max_concurrency: u32) -> tokio::runtime::Builder {
    if max_concurrency > 1 {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    }
}

/// Logs why the function does not start, as one JSON line even when logging is not set up or off.
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
