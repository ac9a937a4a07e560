//! Runs a function on Lambda: its routes ([`run`]), or what handles its other events ([`run_events`]).

mod deferred_start;
mod event;
mod events;
mod invocation;
mod metrics;
mod queue_work;
mod response;

use std::{convert::Infallible, process::ExitCode, time::Duration};

use axum::{Router, extract::Request, response::Response};
use futures_util::future::BoxFuture;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, value::RawValue};
use tower::{Service, ServiceExt};

use self::{
    deferred_start::{DeferredHandler, DeferredStart},
    events::HttpEvents,
};
pub use self::{
    events::{Events, Failure, Invocation},
    invocation::{BuildHandler, EventHandler, Handled, InvocationError, InvocationScope, Invoker},
    queue_work::QueueWork,
};
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

/// What a process runs: its routes, or its handler.
#[derive(Clone, Copy)]
struct Function<B = BuildRoutes> {
    /// Its crate.
    name: &'static str,
    build: B,
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
    let function = Function {
        name,
        build: routes,
    };
    match prepare(name) {
        // In a task: whatever wakes the future of `block_on` itself costs a system call.
        Ok((env, runtime)) => {
            let run = async { tokio::spawn(run_with::<E>(env, function)).await };
            runtime
                .block_on(run)
                .unwrap_or_else(|panic| refuse(&panic.to_string()))
        }
        Err(why) => refuse(&why),
    }
}

/// The same for a function whose events are those of a stream, a queue or a schedule: they are handled
/// one by one, and no request is made of them.
#[must_use]
pub fn run_events(name: &'static str, build: BuildHandler) -> ExitCode {
    let function = Function { name, build };
    match prepare(name) {
        // Not in a task: nobody waits for these events, and they are few.
        Ok((env, runtime)) => runtime.block_on(run_events_with(env, function)),
        Err(why) => refuse(&why),
    }
}

/// Reads the settings of the process, and starts logging and the executor. Or says why not.
fn prepare(name: &'static str) -> Result<(Env, tokio::runtime::Runtime), String> {
    let env = Env::from_process();
    let settings = ProcessSettings::read(&env);
    telemetry::init(
        settings.log_level,
        [name],
        telemetry::json_lines(std::io::stdout),
    )
    .map_err(|error| error.to_string())?;
    log_unknown_names(&env);
    let runtime = executor(settings.max_concurrency).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    Ok((env, runtime))
}

async fn run_with<E: Events>(env: Env, function: Function) -> ExitCode {
    match resolve(env).await {
        Ok(Resolved::Env(env)) => match start(env, function).await {
            Ok(app) => serve::<E, _>(app).await,
            Err(errors) => refuse(&errors.to_string()),
        },
        Ok(Resolved::NotReady(references)) => serve_deferred::<E>(references, function).await,
        Err(errors) => refuse(&errors.to_string()),
    }
}

async fn run_events_with(env: Env, function: Function<BuildHandler>) -> ExitCode {
    match resolve(env).await {
        Ok(Resolved::Env(env)) => match start_handler(env, function).await {
            Ok(invoker) => serve_events(DeferredHandler::Started(invoker)).await,
            Err(errors) => refuse(&errors.to_string()),
        },
        Ok(Resolved::NotReady(references)) => {
            serve_events(DeferredHandler::new(references, function)).await
        }
        Err(errors) => refuse(&errors.to_string()),
    }
}

/// The settings with their secrets, where those could be fetched before the first event.
enum Resolved {
    Env(Env),
    NotReady(References),
}

async fn resolve(env: Env) -> Result<Resolved, ConfigErrors> {
    let Some(references) = References::of(&env) else {
        return Ok(Resolved::Env(env));
    };
    // Boxed, or the compiler does not see that what awaits it can move between threads.
    let resolving: BoxFuture<'_, _> = Box::pin(references.resolve(AT_START));
    match resolving.await {
        Ok(env) => Ok(Resolved::Env(env)),
        Err(ResolveError::Failed(errors)) => Err(errors),
        Err(ResolveError::NotReady(_)) => Ok(Resolved::NotReady(references)),
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
    let app = instance.app((function.build)(&instance))?;
    instance.connect().await;
    Ok(app)
}

/// Builds and connects the parts of a handler.
async fn start_handler(
    env: Env,
    function: Function<BuildHandler>,
) -> Result<Invoker, ConfigErrors> {
    let _ = ProcessSettings::read(&env);
    metrics::record(&env, function.name);
    let instance = Instance::new(env, Clock::System, Random::System);
    let handler = (function.build)(&instance);
    instance.env().validate()?;
    instance.connect().await;
    Ok(Invoker::new(handler))
}

/// Hands events to the handler until Lambda ends the process.
async fn serve_events(handler: DeferredHandler) -> ExitCode {
    let events = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let answer: BoxFuture<'static, _> = Box::pin(answer_event(handler.clone(), event));
        answer
    });
    match lambda_runtime::run_concurrent(events).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error.to_string()),
    }
}

async fn answer_event(
    handler: DeferredHandler,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Value, lambda_runtime::Error> {
    let invocation = InvocationScope {
        id: &event.context.request_id,
        deadline: event::deadline(&event.context, &Clock::System),
    };
    let invoker = handler.get().await?;
    Ok(invoker.invoke(&event.payload, invocation).await?)
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
