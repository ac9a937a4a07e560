//! The functions as they are built from an environment.

use std::collections::BTreeSet;

use axum::Router;
use e2e::settings::{AWS_ENVIRONMENT, Settings};
use shared::{
    clock::Clock,
    config::{ConfigErrors, Env, MetricsSettings, ProcessSettings, References},
    instance::Instance,
    random::Random,
    runtime::{BuildHandler, BuildRoutes},
};

/// A function that was built from an environment.
pub struct Built {
    /// The paths of its routes.
    pub paths: BTreeSet<String>,
    /// The variables that it read.
    pub reads: BTreeSet<String>,
    /// Its app, unless it refuses to start.
    pub app: Result<Router, ConfigErrors>,
}

/// What builds a function.
#[derive(Clone, Copy)]
pub enum Build {
    /// API Gateway calls it.
    Routes(BuildRoutes),
    /// Something else does.
    Handler(BuildHandler),
}

impl From<BuildRoutes> for Build {
    fn from(routes: BuildRoutes) -> Self {
        Self::Routes(routes)
    }
}

/// The packages of the functions, and what builds them.
pub fn all() -> Vec<(String, Build)> {
    let workers = local::WORKERS.iter();
    let workers = workers.map(|(name, handler)| (name.replace('_', "-"), Build::Handler(*handler)));
    let functions = of_api().into_iter();
    let functions = functions.map(|(name, routes)| (name, Build::Routes(routes)));
    functions.chain(workers).collect()
}

/// The packages of the functions that API Gateway calls, and what builds their routes.
pub fn of_api() -> Vec<(String, BuildRoutes)> {
    local::FUNCTIONS
        .iter()
        .map(|(name, routes)| (name.replace('_', "-"), *routes))
        .collect()
}

/// Builds a function as `shared::runtime` does.
pub fn build(
    function: impl Into<Build>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Built {
    let (env, reads) = Env::new(variables).record_reads();
    let _ = (ProcessSettings::read(&env), MetricsSettings::read(&env));
    let _ = References::of(&env);
    let instance = Instance::new(env, Clock::System, Random::System);
    let (paths, app) = match function.into() {
        Build::Routes(routes) => {
            let routes = routes(&instance);
            let paths = routes.paths().iter().map(ToString::to_string).collect();
            (paths, instance.app(routes))
        }
        Build::Handler(handler) => {
            drop(handler(&instance));
            let started = instance.env().validate();
            (BTreeSet::new(), started.map(|()| Router::new()))
        }
    };
    Built {
        paths,
        reads: reads.names(),
        app,
    }
}

/// What Lambda sets in each function.
pub fn lambda() -> impl Iterator<Item = (String, String)> {
    AWS_ENVIRONMENT
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// An environment with which a function reads every setting that it knows.
pub fn everything() -> Vec<(String, String)> {
    let settings = Settings::new("http://127.0.0.1:1", "http://127.0.0.1:1")
        .redis("redis://127.0.0.1:1")
        .with("CONTENT_CHECK", "on")
        .with("AVATAR_BUCKET", "pictures")
        .with("AVATAR_BASE_URL", "https://static.example.com");
    lambda()
        .chain(settings.variables().iter().cloned())
        .collect()
}

/// The variables that a function may read.
pub fn reads(function: impl Into<Build>) -> BTreeSet<String> {
    let mut reads = build(function, everything()).reads;
    // The extension is asked only for a value that is a reference.
    let (env, fetched) = Env::new([("JWT_SECRETS", "ssm:/weapp/JWT_SECRETS")]).record_reads();
    let _ = References::of(&env);
    reads.append(&mut fetched.names());
    reads
}
