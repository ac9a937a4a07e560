//! The routes of a function.

use axum::{Router, routing::MethodRouter};

/// An axum [`Router`] with a list of its paths, so that a test can compare them with those of
/// `template.yaml`: a router alone can't list them.
#[derive(Clone, Debug)]
pub struct Routes<S = ()> {
    router: Router<S>,
    paths: Vec<&'static str>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            paths: Vec::new(),
        }
    }

    /// Adds `path`, written as axum and API Gateway both do: `/users/{id}`.
    #[must_use]
    pub fn route(mut self, path: &'static str, methods: MethodRouter<S>) -> Self {
        self.paths.push(path);
        self.router = self.router.route(path, methods);
        self
    }

    /// Adds the routes of `other`.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        self.router = self.router.merge(other.router);
        self
    }

    /// Gives the handlers their state.
    #[must_use]
    pub fn with_state<T>(self, state: S) -> Routes<T> {
        Routes {
            router: self.router.with_state(state),
            paths: self.paths,
        }
    }

    /// The paths, in the order in which they were added.
    #[must_use]
    pub fn paths(&self) -> &[&'static str] {
        &self.paths
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> From<Routes<S>> for Router<S> {
    fn from(routes: Routes<S>) -> Self {
        routes.router
    }
}
