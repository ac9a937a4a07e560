//! A function whose secrets could not be fetched before its first event.
//!
//! The Parameters and Secrets extension is not ready before the first event, so waiting longer for
//! it at start would be pointless. The first request waits instead; if its wait fails, it is
//! answered 503 and the next request tries again.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request, response::Response, routing::any};
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;
use tower::ServiceExt;

use super::{BuildHandler, Function, InvocationError, Invoker, metrics, start, start_handler};
use crate::{
    api::{ApiError, Reason},
    clock::Clock,
    config::{ConfigErrors, FetchTimeouts, References},
    instance::Instance,
    random::Random,
};

/// Shorter than a request's timeout, so that a missing extension is reported before it.
const DURING_REQUEST: FetchTimeouts = FetchTimeouts {
    readiness: Duration::from_secs(4),
    total: Duration::from_secs(5),
};

/// The function's app once it has started, and a placeholder until then. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeferredStart {
    references: References,
    function: Function,
    app: Arc<OnceCell<Router>>,
    placeholder: Router,
}

impl DeferredStart {
    /// A start that waits for the first request.
    ///
    /// # Errors
    /// The errors of settings that need no secret.
    pub(super) fn new(references: References, function: Function) -> Result<Self, ConfigErrors> {
        let unavailable = || async { ApiError::new(Reason::Unavailable) };
        let placeholder = Router::new()
            .route("/", any(unavailable))
            .route("/{*rest}", any(unavailable));
        let env = references.without_secrets();
        metrics::record(&env, function.name);
        let placeholder = Instance::new(env, Clock::System, Random::System).app(placeholder)?;
        Ok(Self {
            references,
            function,
            app: Arc::default(),
            placeholder,
        })
    }

    /// Serves a request with the app, or with the placeholder while the start fails.
    pub(super) async fn answer(self, request: Request) -> Response {
        let app = match self.app.get_or_try_init(|| self.start()).await {
            Ok(app) => app,
            Err(errors) => {
                tracing::error!(why = %errors, "start refused");
                &self.placeholder
            }
        };
        let Ok(response) = app.clone().oneshot(request).await;
        response
    }

    async fn start(&self) -> Result<Router, ConfigErrors> {
        match self.references.resolve(DURING_REQUEST).await {
            Ok(env) => start(env, self.function).await,
            Err(error) => Err(error.into_config_errors()),
        }
    }
}

/// A handler that has started, or starts with its first event. Until it has, invocations fail, and are
/// repeated by whatever sent them. Cheap to clone.
#[derive(Clone)]
pub(super) enum DeferredHandler {
    Started(Invoker),
    WithFirstEvent {
        references: References,
        function: Function<BuildHandler>,
        invoker: Arc<OnceCell<Invoker>>,
    },
}

impl DeferredHandler {
    /// One that starts with its first event.
    pub(super) fn new(references: References, function: Function<BuildHandler>) -> Self {
        Self::WithFirstEvent {
            references,
            function,
            invoker: Arc::default(),
        }
    }

    /// The handler.
    ///
    /// # Errors
    /// After what is wrong with the settings, or why the secrets could not be fetched, was logged.
    pub(super) async fn get(self) -> Result<Invoker, InvocationError> {
        let (references, function, invoker) = match self {
            Self::Started(invoker) => return Ok(invoker),
            Self::WithFirstEvent {
                references,
                function,
                invoker,
            } => (references, function, invoker),
        };
        let start: BoxFuture<'static, _> = Box::pin(start_deferred(references, function));
        let started = invoker.get_or_try_init(|| start).await;
        started.cloned().map_err(|errors| {
            tracing::error!(why = %errors, "start refused");
            InvocationError("start refused".to_owned())
        })
    }
}

async fn start_deferred(
    references: References,
    function: Function<BuildHandler>,
) -> Result<Invoker, ConfigErrors> {
    // Boxed, or the compiler does not see that what awaits it can move between threads.
    let resolving: BoxFuture<'_, _> = Box::pin(references.resolve(DURING_REQUEST));
    match resolving.await {
        Ok(env) => start_handler(env, function).await,
        Err(error) => Err(error.into_config_errors()),
    }
}
