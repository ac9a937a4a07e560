//! A function whose secrets could not be fetched before its first event.
//!
//! The Parameters and Secrets extension serves only once the first event has reached it: to wait
//! for it at start would be in vain. The first request waits instead, and a request that waits in
//! vain is answered 503; the next one tries again.

use std::{sync::Arc, time::Duration};

use axum::{Router, response::Response, routing::any};
use lambda_http::{Request, tower::ServiceExt};
use tokio::sync::OnceCell;

use super::{Routes, metrics, start};
use crate::{
    api::{ApiError, Reason},
    clock::Clock,
    config::{ConfigErrors, FetchTimeouts, References},
    instance::Instance,
    random::Random,
};

/// Less than a request may take; whether it was the extension that was missing is told before time
/// is up.
const PATIENCE: FetchTimeouts = FetchTimeouts {
    ready: Duration::from_secs(4),
    whole: Duration::from_secs(5),
};

/// The function's app once there is one, and what answers until then. Cheap to clone.
#[derive(Clone)]
pub(super) struct Late {
    references: References,
    routes: Routes,
    app: Arc<OnceCell<Router>>,
    meanwhile: Router,
}

impl Late {
    /// # Errors
    /// What is wrong with settings that are known already.
    pub(super) fn new(references: References, routes: Routes) -> Result<Self, ConfigErrors> {
        let unavailable = || async { ApiError::new(Reason::Unavailable) };
        let meanwhile = Router::new()
            .route("/", any(unavailable))
            .route("/{*rest}", any(unavailable));
        let env = references.without();
        metrics::record(&env);
        let meanwhile = Instance::new(env, Clock::System, Random::System).app(meanwhile)?;
        Ok(Self {
            references,
            routes,
            app: Arc::default(),
            meanwhile,
        })
    }

    /// Answers with the app, or in its place.
    pub(super) async fn answer(self, request: Request) -> Response {
        let app = match self.app.get_or_try_init(|| self.start()).await {
            Ok(app) => app,
            Err(problems) => {
                tracing::error!(why = %problems, "start refused");
                &self.meanwhile
            }
        };
        let Ok(answer) = app.clone().oneshot(request).await;
        answer
    }

    async fn start(&self) -> Result<Router, ConfigErrors> {
        match self.references.follow(PATIENCE).await {
            Ok(env) => start(env, self.routes).await,
            Err(error) => Err(error.into_config_errors()),
        }
    }
}
