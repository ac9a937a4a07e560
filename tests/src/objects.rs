//! The object store of `make run`, in memory, for the credentials of the functions under test.

use axum::Router;
use local::{ObjectStore, StoreKeys};
use shared::clock::Clock;

use crate::{settings::AWS_ENVIRONMENT, test_app::listen};

/// The name of its bucket.
pub const BUCKET: &str = "pictures";

/// A store without objects.
pub fn store(clock: Clock) -> ObjectStore {
    let variable = |wanted: &str| {
        let mut variables = AWS_ENVIRONMENT.into_iter();
        let found = variables.find(|(name, _)| *name == wanted);
        found.unwrap().1
    };
    let keys = StoreKeys {
        id: variable("AWS_ACCESS_KEY_ID").to_owned(),
        secret: variable("AWS_SECRET_ACCESS_KEY").into(),
        session: Some(variable("AWS_SESSION_TOKEN").into()),
        region: variable("AWS_REGION").to_owned(),
    };
    ObjectStore::open(BUCKET, keys, clock, None).unwrap()
}

/// Serves the store below `/s3`, and what anybody may read below `/cdn`. Returns the port.
pub async fn serve(store: &ObjectStore) -> u16 {
    let router = Router::new().nest("/s3", store.router());
    listen(router.nest("/cdn", store.public_router())).await
}
