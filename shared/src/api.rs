//! What a client sees: one envelope for every response, one error type, one way to read a body.

mod activity;
mod bearer;
mod cursor;
mod envelope;
mod error;
mod expected_version;
mod json;
mod language;
mod optional;
mod page_limit;
mod profile;
mod query;
mod success;
mod validation;

pub use activity::{ActivityList, ActivityQuery, Viewer};
pub use bearer::bearer_token;
pub use cursor::Cursors;
pub use error::{ApiError, Reason};
pub use expected_version::{ExpectedVersion, entity_tag};
pub(crate) use json::read_body;
pub use json::{BodyTimedOut, Input, Json, Raw};
pub use language::preferred_language;
pub use optional::Optional;
pub use page_limit::{DEFAULT_PAGE_LIMIT, MAX_PAGE_LIMIT, page_limit};
pub use profile::RawProfile;
pub use query::Query;
pub use success::{Accepted, Empty, Success};
pub(crate) use validation::ValidationReport;
pub use validation::{Checks, Rule, Violation};

/// The maximum size of a request body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
