//! Which changes something reacts to.

use serde_json::Value;

use crate::{
    saga::SAGA_PK_PREFIX,
    users::rows::{CONSENT, PROFILE, REMOTE_CONFIG, SESSION},
};

/// Whether a record of the stream is one of those that are handed to the worker: what `FilterCriteria` of
/// template.yaml says, for whatever does the work of the event source mapping. A refresh of a session, for
/// one, is not.
#[must_use]
pub fn wakes_worker(record: &Value) -> bool {
    let text = |pointer| record.pointer(pointer).and_then(Value::as_str);
    let pk = text("/dynamodb/Keys/pk/S").unwrap_or_default();
    let sk = text("/dynamodb/Keys/sk/S").unwrap_or_default();
    let is_change = text("/eventName") == Some("MODIFY");
    let is_revoked = text("/dynamodb/NewImage/revokedAt/S").is_some();
    (pk.starts_with(PROFILE.pk_prefix) && sk == PROFILE.sk)
        || (sk.starts_with(SESSION.sk) && (!is_change || is_revoked))
        || sk.starts_with(CONSENT.sk)
        || pk.starts_with(REMOTE_CONFIG.pk_prefix)
        || pk.starts_with(SAGA_PK_PREFIX)
}
