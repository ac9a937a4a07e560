//! The functions.

use axum::Router;
use shared::{
    instance::Instance,
    runtime::{BuildHandler, BuildRoutes, Invoker},
};

/// The functions: each crate's name and its routes.
pub const FUNCTIONS: &[(&str, BuildRoutes)] = &[
    ("health", health::routes),
    ("login", login::routes),
    ("token", token::routes),
    ("user_data", user_data::routes),
    ("user_info", user_info::routes),
    ("config", config::routes),
    ("users", users::routes),
    ("callback", callback::routes),
    ("account", account::routes),
    ("avatar", avatar::routes),
    ("authorizer", authorizer::routes),
];

/// The functions that API Gateway does not call: each crate's name, and what handles its events.
pub const WORKERS: &[(&str, BuildHandler)] = &[
    ("worker", worker::handler),
    ("webhooks", webhooks::handler),
    ("messages", messages::handler),
];

/// What hands events to the worker.
#[must_use]
pub fn worker(instance: &Instance) -> Invoker {
    Invoker::new(worker::handler(instance))
}

/// What sends messages to users.
#[must_use]
pub fn messages(instance: &Instance) -> Invoker {
    Invoker::new(messages::handler(instance))
}

/// The routes of all functions together.
pub fn routes(instance: &Instance) -> Router {
    FUNCTIONS.iter().fold(Router::new(), |router, (_, routes)| {
        router.merge(Router::from(routes(instance)))
    })
}
