//! Authentication of callers: access tokens, refresh tokens, sessions.

mod access_token;
mod admission;
mod key_source;
mod living_sessions;
mod refresh_token;
mod session;
mod signing_key;
mod tokens;

pub use access_token::{Claims, TokenError};
pub use admission::{Admission, AdmissionError, AdmissionParts, Caller};
pub use refresh_token::{RefreshToken, RefreshTokenError};
pub use session::{
    Client, EndedBy, KNOWN_SESSIONS_LUA, KnownSession, OpenSession, OpenedSession, Place, Revoker,
    RotateError, Session, SessionError, SessionParts, Sessions, session_cache_key,
};
pub use tokens::{TokenPair, Tokens};
