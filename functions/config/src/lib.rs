//! Remote configuration, the switches and texts of a mini-program: everybody reads
//! `GET /api/v1/config/{key}`, and administrators `PUT` and `DELETE` it. `GET /api/v1/config` lists the
//! keys for administrators.

mod change;
mod key;
mod list;
#[cfg(feature = "openapi")]
mod openapi;
mod read;
mod settings;
mod store;
mod value;

use axum::{extract::FromRef, routing::get};
use shared::{
    auth::Admission,
    edge::Routes,
    instance::Instance,
    resilience::{AddressCost, Limiter},
    users::Administrators,
};

#[cfg(feature = "openapi")]
pub use openapi::operations;
pub use settings::DOCUMENTED;
use settings::RemoteConfigSettings;
use store::RemoteConfig;

#[derive(Clone, FromRef)]
struct Config {
    admission: Admission,
    administrators: Administrators,
    values: RemoteConfig,
    guests: Guests,
    freshness: Freshness,
}

/// What readers are charged.
#[derive(Clone)]
struct Guests {
    limiter: Limiter,
    cost: Option<AddressCost>,
}

/// For how many seconds clients may keep a value.
#[derive(Clone, Copy)]
struct Freshness(u64);

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.sealed_bodies();
    let settings = RemoteConfigSettings::read(instance.env());
    let state = Config {
        admission: instance.admission(),
        administrators: instance.administrators(),
        guests: Guests {
            limiter: instance.limiter(),
            cost: instance.limits().guest,
        },
        freshness: Freshness(settings.max_age.as_secs()),
        values: RemoteConfig::new(
            instance.dynamo(),
            instance.cache(),
            instance.clock(),
            instance.random(),
            &settings,
        ),
    };
    let route = get(read::read).put(change::put).delete(change::delete);
    Routes::new()
        .route("/api/v1/config", get(list::list))
        .route("/api/v1/config/{key}", route)
        .with_state(state)
}
