//! A message is handled once: `{push:sha256}` holds who is at it, then what the answer was.
//!
//! WeChat sends a message again when it has no answer after 5 s, and up to three times; whoever can listen could send it
//! again too. Without shared state this holds within one instance.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    clock::Clock,
    instance::Instance,
    kv::{Kv, KvError, MemoryStore, Record},
    random::Random,
    telemetry,
};
use tokio::time::{Instant, sleep};

use crate::{ANSWER_WITHIN, Reply};

/// Longer than anybody is at it; after that the next delivery may.
const CLAIM: Duration = Duration::from_secs(ANSWER_WITHIN.as_secs() + 2);
/// How long a second delivery waits for the first.
const WAIT: Duration = Duration::from_secs(ANSWER_WITHIN.as_secs() - 1);
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How far a message has come.
#[derive(Debug, Serialize, Deserialize)]
enum State {
    /// Somebody is at it; the text is unique to them.
    Pending(String),
    /// It was handled; this was the reply, if there was one.
    Done(Option<Reply>),
}

/// Whose turn it is.
pub enum Turn {
    /// Ours.
    Ours(Claim),
    /// It was handled, and this was the reply.
    Done(Option<Reply>),
    /// Somebody else's, who did not end in time.
    Taken,
}

/// The right to handle a message. Who drops it without a word keeps others out for [`CLAIM`].
pub struct Claim {
    key: String,
}

pub struct Once {
    shared: Kv,
    /// Where shared state is out of reach.
    here: Kv,
    random: Random,
    life: Duration,
}

impl Once {
    /// What was handled is remembered for longer than its timestamp lets it come again.
    pub fn new(instance: &Instance, max_age: Duration) -> Self {
        Self::with(instance.kv(), instance.clock(), instance.random(), max_age)
    }

    fn with(shared: Kv, clock: Clock, random: Random, max_age: Duration) -> Self {
        Self { shared, here: Kv::Memory(MemoryStore::new(clock)), random, life: max_age * 2 + CLAIM }
    }

    /// Claims the message, or waits for whoever has.
    pub async fn begin(&self, id: &str) -> Turn {
        let key = format!("{{push:{id}}}");
        let pending = encode(&State::Pending(hex::encode(self.random.bytes::<16>())));
        let give_up = Instant::now() + WAIT;
        let mut pause = FIRST_LOOK;
        loop {
            match self.look(&key, &pending).await {
                None => return Turn::Ours(Claim { key }),
                Some(State::Done(reply)) => return Turn::Done(reply),
                Some(State::Pending(_)) if Instant::now() >= give_up => return Turn::Taken,
                Some(State::Pending(_)) => sleep(pause).await,
            }
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// The message was handled.
    pub async fn settle(&self, claim: Claim, reply: Option<&Reply>) {
        let value = encode(&State::Done(reply.cloned()));
        let record = Record { key: &claim.key, value: &value, life: self.life };
        if let Err(error) = self.shared.put(record.clone()).await {
            degraded(&error);
            // Memory does not fail.
            let _ = self.here.put(record).await;
        }
    }

    /// The message was not handled: the next delivery may try.
    pub async fn release(&self, claim: Claim) {
        if let Err(error) = self.shared.delete(&claim.key).await {
            degraded(&error);
        }
        let _ = self.here.delete(&claim.key).await;
    }

    /// Whether no other message came with this signature, which covers none: `{push-signature:sha256}` holds the first
    /// one's id. Who reads a plain message on its way can then repeat it, but not write another one.
    pub async fn is_only_message_of(&self, signature: &str, id: &str) -> bool {
        let key = format!("{{push-signature:{}}}", hex::encode(Sha256::digest(signature)));
        self.add(Record { key: &key, value: id.as_bytes(), life: self.life }).await
    }

    /// Claims the message if it is free (nothing is told then), else tells what stands there.
    async fn look(&self, key: &str, pending: &[u8]) -> Option<State> {
        if self.add(Record { key, value: pending, life: CLAIM }).await {
            return None;
        }
        let value = match self.shared.get([key]).await {
            Ok([Some(value)]) => Some(value),
            _ => self.here.get([key]).await.ok().and_then(|[value]| value),
        };
        // Nothing there any more: released in between, so the next look may claim it.
        let state = value.and_then(|value| serde_json::from_slice(&value).ok());
        Some(state.unwrap_or_else(|| State::Pending(String::new())))
    }

    /// [`Kv::add`] to shared state, or to this instance's where that is out of reach.
    async fn add(&self, record: Record<'_>) -> bool {
        match self.shared.add(record.clone()).await {
            Ok(added) => added,
            Err(error) => {
                degraded(&error);
                self.here.add(record).await.unwrap_or(true)
            }
        }
    }
}

fn encode(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).unwrap_or_default()
}

fn degraded(error: &KvError) {
    telemetry::degraded("message push", error);
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    fn once() -> (Once, ManualClock) {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let manual = Clock::Manual(clock.clone());
        let shared = Kv::Memory(MemoryStore::new(manual.clone()));
        (Once::with(shared, manual, Random::seeded(1), Duration::from_mins(5)), clock)
    }

    async fn claim(once: &Once, id: &str) -> Claim {
        match once.begin(id).await {
            Turn::Ours(claim) => claim,
            _ => panic!("it is somebody else's turn"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_settled_message_has_its_reply_until_its_timestamp_is_too_old() {
        let (once, clock) = once();
        let reply = Reply(serde_json::from_str(r#"{"a":1}"#).unwrap());
        once.settle(claim(&once, "a").await, Some(&reply)).await;
        clock.advance_seconds(600);
        assert!(matches!(once.begin("a").await, Turn::Done(Some(again)) if again == reply));
        claim(&once, "b").await;
        clock.advance_seconds(7);
        claim(&once, "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_message_can_be_claimed_again() {
        let (once, _) = once();
        once.release(claim(&once, "a").await).await;
        claim(&once, "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_nobody_ends_is_waited_for_and_then_free() {
        let (once, clock) = once();
        let _lost = claim(&once, "a").await;
        let start = Instant::now();
        assert!(matches!(once.begin("a").await, Turn::Taken));
        assert!(start.elapsed() >= WAIT && start.elapsed() < ANSWER_WITHIN);
        clock.advance_seconds(6);
        claim(&once, "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_outcome_of_who_is_at_it() {
        let (once, _) = once();
        let first = claim(&once, "a").await;
        let (second, ()) = futures_util::join!(once.begin("a"), async {
            sleep(Duration::from_millis(500)).await;
            once.settle(first, None).await;
        });
        assert!(matches!(second, Turn::Done(None)));
    }

    #[tokio::test]
    async fn a_signature_is_for_one_message() {
        let (once, _) = once();
        assert!(once.is_only_message_of("s", "a").await && once.is_only_message_of("s", "a").await);
        assert!(!once.is_only_message_of("s", "b").await);
        assert!(once.is_only_message_of("t", "b").await);
    }
}
