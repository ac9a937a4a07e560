//! A login happens once per (mini-program, code): `{login:sha256}`.
//!
//! Pages retry with the same code, but WeChat accepts a code once. So the first request claims the
//! code, and the others wait for its outcome, whichever instance they reach.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    api::Reason,
    claims::{ClaimRules, Claims},
    ids::{AppId, SessionId, UserId},
    instance::Instance,
    values::OneTimeCode,
};

/// As long as WeChat keeps a code.
const CLAIM_TTL: Duration = Duration::from_mins(5);
/// How long a later request waits for the first one.
const CLAIM_WAIT: Duration = Duration::from_secs(5);

/// The outcome of a login with a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginOutcome {
    /// It opened a session.
    Opened(Opened),
    /// It failed, and the code can't be used again.
    Failed(Failure),
}

/// The session that a code opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub user: UserId,
    pub session: SessionId,
    pub is_new: bool,
}

/// Why a code can't be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    CodeInvalid,
    CodeUsed,
    UserBlocked,
    UserDisabled,
}

impl Failure {
    pub fn reason(self) -> Reason {
        match self {
            Self::CodeInvalid => Reason::CodeInvalid,
            Self::CodeUsed => Reason::CodeUsed,
            Self::UserBlocked => Reason::UserBlocked,
            Self::UserDisabled => Reason::UserDisabled,
        }
    }
}

/// The claims of codes.
pub fn login_claims(instance: &Instance) -> Claims<LoginOutcome> {
    let rules = ClaimRules {
        what: "login idempotency",
        claim_ttl: CLAIM_TTL,
        outcome_ttl: CLAIM_TTL,
        wait: CLAIM_WAIT,
        // WeChat may have accepted the code already.
        abandoned: Some(LoginOutcome::Failed(Failure::CodeUsed)),
    };
    Claims::new(instance.kv(), instance.clock(), instance.random(), rules)
}

/// Contains the code's hash only: the code itself is never stored.
pub fn login_key(app_id: &AppId, code: &OneTimeCode) -> String {
    let hash = Sha256::new()
        .chain_update(app_id.as_str())
        .chain_update([0])
        .chain_update(code.expose());
    format!("{{login:{}}}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(app_id: &str, code: &str) -> String {
        login_key(
            &app_id.parse().unwrap(),
            &OneTimeCode::parse(code.into()).unwrap(),
        )
    }

    #[test]
    fn the_key_depends_on_the_mini_program_and_the_code() {
        assert_eq!(key("wx1", "code"), key("wx1", "code"));
        assert_ne!(key("wx1", "code"), key("wx1", "other"));
        assert_ne!(key("wx1", "code"), key("wx2", "code"));
        assert!(!key("wx1", "code").contains("code"));
    }
}
