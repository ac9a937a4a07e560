//! A function whose secrets could not be fetched before its first event.
//!
//! The Parameters and Secrets extension serves only once the first event has reached it, so waiting
//! for it at start would be useless. The first request waits instead; one that waits in vain is
//! answered 503, and the next one tries again.

use std::{sync::Arc, time::Duration};

use axum::{Router, response::Response, routing::any};
use lambda_http::{Request, tower::ServiceExt};
use tokio::sync::OnceCell;

use super::{BuildRoutes, metrics, start};
use crate::{
    api::{ApiError, Reason},
    clock::Clock,
    config::{ConfigErrors, FetchTimeouts, References},
    instance::Instance,
    random::Random,
};

/// Less than a request may take, so that a missing extension is reported before the time is up.
const DURING_REQUEST: FetchTimeouts = FetchTimeouts {
    readiness: Duration::from_secs(4),
    total: Duration::from_secs(5),
};

/// The function's app once it has started, and a placeholder until then. Cheap to clone.
#[derive(Clone)]
pub(super) struct DeferredStart {
    references: References,
    routes: BuildRoutes,
    app: Arc<OnceCell<Router>>,
    placeholder: Router,
}

impl DeferredStart {
    /// # Errors
    /// The errors of settings that are known already.
    pub(super) fn new(references: References, routes: BuildRoutes) -> Result<Self, ConfigErrors> {
        let unavailable = || async { ApiError::new(Reason::Unavailable) };
        let placeholder = Router::new()
            .route("/", any(unavailable))
            .route("/{*rest}", any(unavailable));
        let env = references.without_secrets();
        metrics::record(&env);
        let placeholder = Instance::new(env, Clock::System, Random::System).app(placeholder)?;
        Ok(Self {
            references,
            routes,
            app: Arc::default(),
            placeholder,
        })
    }

    /// Answers with the app, or with the placeholder.
    pub(super) async fn answer(self, request: Request) -> Response {
        let app = match self.app.get_or_try_init(|| self.start()).await {
            Ok(app) => app,
            Err(errors) => {
                tracing::error!(why = %errors, "start refused");
                &self.placeholder
            }
        };
        let Ok(answer) = app.clone().oneshot(request).await;
        answer
    }

    async fn start(&self) -> Result<Router, ConfigErrors> {
        match self.references.resolve(DURING_REQUEST).await {
            Ok(env) => start(env, self.routes).await,
            Err(error) => Err(error.into_config_errors()),
        }
    }
}
