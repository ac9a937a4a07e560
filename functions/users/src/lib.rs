//! Users for administrators: lists, finds, moves in, reads, changes and deletes them, ends their
//! sessions, and continues deletions and merges that stopped. Events of webhooks that were not delivered.
//! Messages to users.

mod account;
mod activity;
mod audit;
mod change;
mod deletion;
mod list;
mod messages;
mod move_in;
#[cfg(feature = "openapi")]
mod openapi;
mod sagas;
mod search;
mod sessions;
mod summary;
mod webhooks;

use std::sync::Arc;

use axum::{
    extract::{FromRef, Path, rejection::PathRejection},
    routing::{delete, get, post},
};
use shared::{
    accounts::AccountSagas,
    api::{ApiError, Cursors, Reason},
    audit::AuditTrail,
    auth::{Admission, Sessions},
    config::{NicknameMin, app_ids},
    edge::Routes,
    ids::{AppId, UserId},
    instance::Instance,
    saga::Sagas,
    users::{Administrators, Listing, ManagedUsers, MovingIn, PhoneNumbers},
    webhooks::{Failures, Outbox},
};

use change::Changing;
use deletion::Deleting;
use messages::Ordering;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct Users {
    admission: Admission,
    administrators: Administrators,
    managed: ManagedUsers,
    listing: Listing,
    cursors: Cursors,
    trail: AuditTrail,
    apps: Apps,
    numbers: Arc<PhoneNumbers>,
    moving_in: Arc<MovingIn>,
    sessions: Sessions,
    nickname_min: NicknameMin,
    sagas: Sagas,
    account_sagas: AccountSagas,
    changing: Changing,
    deleting: Deleting,
    failures: Failures,
    outbox: Outbox,
    ordering: Ordering,
}

/// The mini-programs of this service.
#[derive(Clone)]
struct Apps(Arc<[AppId]>);

impl Apps {
    /// The mini-program with this id, if it is one of them.
    fn find(&self, id: &str) -> Option<AppId> {
        self.0.iter().find(|app| app.as_str() == id).cloned()
    }
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.sealed_bodies();
    instance.dynamo_at_start(1);
    let state = Users {
        admission: instance.admission(),
        administrators: instance.administrators(),
        managed: instance.managed_users(),
        listing: instance.listing(),
        cursors: instance.cursors(),
        trail: instance.audit_trail(),
        apps: Apps(app_ids(instance.env()).into()),
        numbers: Arc::new(instance.phone_numbers()),
        moving_in: Arc::new(instance.moving_in()),
        sessions: instance.sessions(),
        nickname_min: NicknameMin::read(instance.env()),
        sagas: instance.sagas(),
        account_sagas: instance.account_sagas(),
        changing: Changing::new(instance),
        deleting: Deleting::new(instance),
        failures: instance.webhook_failures(),
        outbox: instance.webhook_outbox(),
        ordering: Ordering::new(instance),
    };
    Routes::new()
        .route("/api/v1/users", get(list::list).post(move_in::move_in))
        .route("/api/v1/users/search", post(search::search))
        .route("/api/v1/users/batch-delete", post(deletion::delete_batch))
        .route(
            "/api/v1/users/{id}",
            get(account::read)
                .put(change::change)
                .delete(deletion::delete),
        )
        .route("/api/v1/users/{id}/activity", get(activity::list))
        .route("/api/v1/users/{id}/sessions", delete(sessions::end_all))
        .route("/api/v1/users/{id}/messages", get(messages::list))
        .route(
            "/api/v1/users/{id}/messages/{messageId}",
            get(messages::read),
        )
        .route("/api/v1/messages", post(messages::send))
        .route("/api/v1/sagas", get(sagas::list))
        .route("/api/v1/sagas/{id}/resume", post(sagas::resume))
        .route("/api/v1/webhooks/failures", get(webhooks::list))
        .route(
            "/api/v1/webhooks/failures/{id}/redeliver",
            post(webhooks::redeliver),
        )
        .with_state(state)
}

/// The user that a path names. A malformed id names nobody.
fn user_id(path: Result<Path<String>, PathRejection>) -> Result<UserId, ApiError> {
    let id = path.ok().and_then(|Path(id)| id.parse().ok());
    id.ok_or_else(|| Reason::NotFound.into())
}
