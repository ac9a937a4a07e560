//! A message is handled once: `{push:sha256}` holds who is at it, then what the answer was.
//!
//! WeChat sends a message again when it has no answer after 5 s, and up to three times; whoever can
//! listen could send it again too. Without shared state this holds within one instance.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    clock::Clock,
    instance::Instance,
    kv::{Kv, KvError, MemoryStore, Record},
    random::Random,
    telemetry::{self, Scope},
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

/// The claims: of the requests of this instance, then of all instances. So what this instance
/// handled it does not handle again, though shared state be out of reach.
pub struct Once {
    here: Kv,
    shared: Kv,
    random: Random,
    life: Duration,
}

impl Once {
    /// What was handled is remembered for longer than its timestamp lets it come again.
    pub fn new(instance: &Instance, max_age: Duration) -> Self {
        Self::with(instance.kv(), instance.clock(), instance.random(), max_age)
    }

    fn with(shared: Kv, clock: Clock, random: Random, max_age: Duration) -> Self {
        Self {
            here: Kv::Memory(MemoryStore::new(clock)),
            shared,
            random,
            life: max_age * 2 + CLAIM,
        }
    }

    /// Claims the message, or waits for whoever has.
    pub async fn begin(&self, id: &str) -> Turn {
        let key = format!("{{push:{id}}}");
        let pending = encode(&State::Pending(hex::encode(self.random.bytes::<16>())));
        let give_up = Instant::now() + WAIT;
        // Memory does not fail.
        if let Ok(Some(state)) = take_turn(&self.here, &key, &pending, give_up).await {
            return state.into();
        }
        match take_turn(&self.shared, &key, &pending, give_up).await {
            Ok(None) => Turn::Ours(Claim { key }),
            Ok(Some(State::Done(reply))) => {
                let value = encode(&State::Done(reply.clone()));
                tell(
                    self.here
                        .put(Record {
                            key: &key,
                            value: &value,
                            life: self.life,
                        })
                        .await,
                );
                Turn::Done(reply)
            }
            Ok(Some(State::Pending(_))) => {
                tell(self.here.delete(&key).await);
                Turn::Taken
            }
            Err(error) => {
                degraded(&error);
                Turn::Ours(Claim { key })
            }
        }
    }

    /// The message was handled.
    pub async fn settle(&self, claim: Claim, reply: Option<&Reply>) {
        let value = encode(&State::Done(reply.cloned()));
        let record = Record {
            key: &claim.key,
            value: &value,
            life: self.life,
        };
        // However long the handlers waited for Redis: the others have to hear of it.
        Scope::renew_redis_budget();
        // The shared one first: who waits at this instance looks there next.
        tell(self.shared.put(record.clone()).await);
        tell(self.here.put(record).await);
    }

    /// The message was not handled: the next delivery may try.
    pub async fn release(&self, claim: Claim) {
        Scope::renew_redis_budget();
        tell(self.shared.delete(&claim.key).await);
        tell(self.here.delete(&claim.key).await);
    }

    /// Whether no other message came with this signature, which covers none:
    /// `{push-signature:sha256}` holds the first one's id. Who reads a plain message on its way can
    /// then repeat it, but not write another one.
    pub async fn is_only_message_of(&self, signature: &str, id: &str) -> bool {
        let key = format!(
            "{{push-signature:{}}}",
            hex::encode(Sha256::digest(signature))
        );
        let record = Record {
            key: &key,
            value: id.as_bytes(),
            life: self.life,
        };
        for store in [&self.here, &self.shared] {
            match store.add(record.clone()).await {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => degraded(&error),
            }
        }
        true
    }
}

impl From<State> for Turn {
    fn from(state: State) -> Self {
        match state {
            State::Done(reply) => Self::Done(reply),
            State::Pending(_) => Self::Taken,
        }
    }
}

/// Nothing when it is our turn; else how the turn of somebody else ended, or that it did not end in
/// time. Fails only while it is not known whether somebody else is at it.
async fn take_turn(
    kv: &Kv,
    key: &str,
    pending: &[u8],
    give_up: Instant,
) -> Result<Option<State>, KvError> {
    let mut pause = FIRST_LOOK;
    let mut taken = false;
    loop {
        match look(kv, key, pending).await {
            Ok(Some(State::Pending(_))) => taken = true,
            Err(error) if !taken => return Err(error),
            // Somebody else was at it a moment ago.
            Err(_) => {}
            ended => return ended,
        }
        if Instant::now() >= give_up {
            return Ok(Some(State::Pending(String::new())));
        }
        sleep(pause).await;
        Scope::renew_redis_budget();
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// Claims the message if it is free (nothing is told then), else tells what stands there.
async fn look(kv: &Kv, key: &str, pending: &[u8]) -> Result<Option<State>, KvError> {
    if kv
        .add(Record {
            key,
            value: pending,
            life: CLAIM,
        })
        .await?
    {
        return Ok(None);
    }
    // Somebody is at it, that much is known even if what stands there can't be read now.
    let value = kv.get([key]).await.ok().and_then(|[value]| value);
    // Nothing there any more: released in between, so the next look may claim it.
    let state = value.and_then(|value| serde_json::from_slice(&value).ok());
    Ok(Some(state.unwrap_or_else(|| State::Pending(String::new()))))
}

fn encode(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).unwrap_or_default()
}

fn tell(outcome: Result<(), KvError>) {
    if let Err(error) = outcome {
        degraded(&error);
    }
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
        (
            Once::with(shared, manual, Random::seeded(1), Duration::from_mins(5)),
            clock,
        )
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
