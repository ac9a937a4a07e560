//! Instances of the backend, inside the test process.

use axum::Router;
use shared::{
    clock::{Clock, ManualClock},
    config::{Env, FetchTimeouts, References},
    instance::Instance,
    random::Random,
};
use tokio::net::TcpListener;

use super::Api;
use crate::settings::{AWS_ENVIRONMENT, Settings};

/// For secrets that are fetched from the extension.
const FETCH_TIMEOUTS: FetchTimeouts = FetchTimeouts {
    readiness: crate::PATIENCE,
    total: crate::PATIENCE,
};

/// How instances are made.
#[derive(Clone)]
pub(super) struct Instances {
    pub(super) settings: Settings,
    /// Only a local development process keeps shared state in its memory.
    pub(super) local_development: bool,
    pub(super) clock: ManualClock,
}

impl Instances {
    pub(super) fn variables(&self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let settings = changes
            .iter()
            .fold(self.settings.clone(), |settings, (name, value)| {
                settings.with(name, value)
            });
        let by_lambda = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = settings.variables().iter().cloned();
        settings.chain(by_lambda).collect()
    }

    pub(super) fn env(&self, changes: &[(&str, &str)]) -> Env {
        let env = Env::new(self.variables(changes));
        if self.local_development {
            env.local_development()
        } else {
            env
        }
    }

    /// Starts an instance of all functions. It ends with the test's runtime.
    pub(super) async fn start(&self, changes: &[(&str, &str)]) -> Api {
        let env = self.env(changes);
        let env = match References::of(&env) {
            Some(references) => references
                .resolve(FETCH_TIMEOUTS)
                .await
                .unwrap_or_else(|error| panic!("{error}")),
            None => env,
        };
        let instance = Instance::new(env, Clock::Manual(self.clock.clone()), Random::System);
        let router = instance
            .app(local::routes(&instance))
            .unwrap_or_else(|errors| panic!("{errors}"));
        Api::new(&url(listen(router).await))
    }
}

/// Serves `router` on a port of its own until the test's runtime ends.
pub(crate) async fn listen(router: Router) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(local::serve(listener, router, std::future::pending()));
    port
}

pub(super) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
