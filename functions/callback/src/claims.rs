//! A message is handled once: `{push:sha256}`.
//!
//! WeChat repeats a message up to three times when it gets no response within 5 s, and an
//! eavesdropper could replay it. Without shared state this works within one instance only.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    claims::{Binding, ClaimOutcome, ClaimRules, Claims, FirstUses},
    instance::Instance,
};

use crate::{ANSWER_WITHIN, Reply};

/// Longer than handling a message takes; then another delivery may handle it.
const CLAIM_TTL: Duration = Duration::from_secs(ANSWER_WITHIN.as_secs() + 2);
/// How long a repeated delivery waits for the first.
const CLAIM_WAIT: Duration = Duration::from_secs(ANSWER_WITHIN.as_secs() - 1);
const WHAT: &str = "message push";
/// No id of a message: those are hexadecimal digits.
const NO_MESSAGE: &str = "verification";

/// The outcome of handling a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PushOutcome {
    /// It was handled, with this reply, if there is one.
    Done(Option<Reply>),
}

/// The claims of messages.
pub struct MessageClaims {
    claims: Claims<PushOutcome>,
    signatures: FirstUses,
}

impl MessageClaims {
    /// Outcomes are kept for longer than a message's timestamp is accepted.
    pub fn new(instance: &Instance, max_age: Duration) -> Self {
        let (kv, clock) = (instance.kv(), instance.clock());
        let outcome_ttl = max_age * 2 + CLAIM_TTL;
        let rules = ClaimRules {
            what: WHAT,
            claim_ttl: CLAIM_TTL,
            outcome_ttl,
            wait: CLAIM_WAIT,
            abandoned: None,
        };
        Self {
            claims: Claims::new(kv.clone(), clock.clone(), instance.random(), rules),
            signatures: FirstUses::new(WHAT, kv, clock, outcome_ttl),
        }
    }

    /// Claims the message, or waits for the outcome of another delivery.
    pub async fn claim_or_wait(&self, id: &str) -> ClaimOutcome<PushOutcome> {
        self.claims.claim_or_wait(&format!("{{push:{id}}}")).await
    }

    /// Binds a signature, which does not cover the message, to the first message that came with it:
    /// `{push-signature:sha256}` stores its id. An eavesdropper can then replay a plain message, but
    /// not forge another one with its signature.
    pub async fn bind_signature(&self, signature: &str, id: &str) -> Binding {
        let digest = hex::encode(Sha256::digest(signature));
        let key = format!("{{push-signature:{digest}}}");
        self.signatures.bind(&key, id.as_bytes()).await
    }

    /// Binds the signature of a URL verification, which was sent without a message, to none.
    pub async fn use_up_signature(&self, signature: &str) -> Binding {
        self.bind_signature(signature, NO_MESSAGE).await
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        clock::{Clock, ManualClock},
        config::Env,
        random::Random,
        request::deadline,
    };

    use super::*;

    const MAX_AGE: Duration = Duration::from_mins(5);

    fn claims() -> (MessageClaims, ManualClock) {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let env = Env::new::<String, String>([]).local_development();
        let instance = Instance::new(env, Clock::Manual(clock.clone()), Random::seeded(1));
        (MessageClaims::new(&instance, MAX_AGE), clock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_remembered_until_the_timestamp_is_too_old() {
        let (claims, clock) = claims();
        let ClaimOutcome::Claimed(claim) = claims.claim_or_wait("a").await else {
            panic!("the first delivery claims")
        };
        let reply = Reply(serde_json::from_str(r#"{"a":1}"#).unwrap());
        let done = PushOutcome::Done(Some(reply));
        claim.complete(&done).await;
        clock.advance_seconds(600);
        let again = claims.claim_or_wait("a").await;
        assert!(matches!(again, ClaimOutcome::Completed(outcome) if outcome == done));
        clock.advance_seconds(7);
        assert!(matches!(
            claims.claim_or_wait("a").await,
            ClaimOutcome::Claimed(_)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_delivery_gives_up_in_time_to_answer() {
        let (claims, _) = claims();
        let _lost = claims.claim_or_wait("a").await;
        let end = tokio::time::Instant::now() + ANSWER_WITHIN;
        let second = deadline::scope(Some(end), claims.claim_or_wait("a"));
        assert!(matches!(second.await, ClaimOutcome::InProgress));
        assert!(tokio::time::Instant::now() < end);
    }

    #[tokio::test]
    async fn a_signature_is_for_one_message() {
        let (claims, _) = claims();
        for (signature, id, binding) in [
            ("s", "a", Binding::Bound),
            ("s", "a", Binding::Bound),
            ("s", "b", Binding::Taken),
            ("t", "b", Binding::Bound),
        ] {
            assert_eq!(claims.bind_signature(signature, id).await, binding);
        }
    }

    #[tokio::test]
    async fn a_signature_that_verified_the_url_is_for_no_message() {
        let (claims, _) = claims();
        assert_eq!(claims.use_up_signature("s").await, Binding::Bound);
        assert_eq!(claims.use_up_signature("s").await, Binding::Bound);
        assert_eq!(claims.bind_signature("s", "a").await, Binding::Taken);
        assert_eq!(claims.bind_signature("t", "a").await, Binding::Bound);
        assert_eq!(claims.use_up_signature("t").await, Binding::Taken);
    }
}
