//! The playground: a page at `/` that shows what the backend does, and what the page reads below
//! `/_playground`. It answers only to a browser on this machine ([`crate::own_page`]).
//!
//! The page itself is in `local/playground/page`: HTML, CSS and JavaScript modules as they are, without a
//! build.

mod about;
mod administrator;
mod live;
mod log_tail;
mod page;
mod rows;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, header::CACHE_CONTROL},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use shared::{
    api::{ApiError, Reason, bearer_token},
    auth::{Admission, Claims, TokenError, Tokens},
    clock::Clock,
    instance::Instance,
    random::Random,
    resilience::breaker::Observer,
    users::{ManagedUsers, UserRows},
    wechat::WECHAT,
};

pub use log_tail::LogTail;
pub(crate) use page::with_page;

use self::about::About;
use crate::{own_page, settings::Settings};

/// The path prefix of what the page reads.
pub(crate) const PLAYGROUND: &str = "/_playground";

/// What the routes read from.
struct Playground {
    /// Drawn at start.
    instance: String,
    about: About,
    tokens: Arc<Tokens>,
    admission: Admission,
    rows: UserRows,
    users: ManagedUsers,
    breaker: Observer,
    log: LogTail,
}

/// The routes below [`PLAYGROUND`].
pub(crate) fn router(instance: &Instance, settings: &Settings, log: LogTail) -> Router {
    let playground = Playground {
        instance: Random::System.uuid_v7(&Clock::System).to_string(),
        about: About::new(instance.env(), settings),
        tokens: instance.verifier(),
        admission: instance.admission(),
        rows: instance.user_rows(),
        users: instance.managed_users(),
        breaker: instance.observer(WECHAT),
        log,
    };
    Router::new()
        .route("/about", get(about::about))
        .route("/live", get(live::live))
        .route("/rows", get(rows::rows))
        .route("/administrator", post(administrator::make_administrator))
        .route("/page/{file}", get(page::asset))
        .layer(middleware::from_fn(only_own_page))
        .layer(middleware::map_response(not_kept))
        .with_state(Arc::new(playground))
}

impl Playground {
    /// Who calls, by their access token alone: the token of a session that has ended still says whose
    /// rows they are, so that the page shows what a logout and a deletion leave.
    async fn claims(&self, headers: &HeaderMap) -> Result<Claims, TokenError> {
        let token = bearer_token(headers).ok_or(TokenError::Missing)?;
        self.tokens.verify(token).await
    }
}

async fn only_own_page(request: Request, next: Next) -> Response {
    if own_page::is_own(&request) {
        next.run(request).await
    } else {
        ApiError::new(Reason::Forbidden).into_response()
    }
}

/// What is read is of this moment. Assets are small, and change with the binary.
async fn not_kept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page::harden(headers);
    response
}
