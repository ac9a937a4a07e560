use tokio::time::sleep;

use super::*;
use crate::{clock::ManualClock, kv::RedisStore};

const KEY: &str = "{claim}";
const RULES: ClaimRules<Outcome> = ClaimRules {
    what: "test claims",
    claim_ttl: Duration::from_mins(5),
    outcome_ttl: Duration::from_mins(5),
    wait: Duration::from_secs(5),
    abandoned: None,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Done(u8),
    Failed,
}

fn instance(shared: &Kv, rules: ClaimRules<Outcome>) -> Claims<Outcome> {
    Claims::new(shared.clone(), Clock::System, Random::System, rules)
}

fn memory() -> Kv {
    Kv::Memory(MemoryStore::new(Clock::System))
}

/// Two instances that share state.
fn instances() -> (Claims<Outcome>, Claims<Outcome>) {
    let shared = memory();
    (instance(&shared, RULES), instance(&shared, RULES))
}

async fn claim(claims: &Claims<Outcome>) -> Claim<Outcome> {
    match claims.claim_or_wait(KEY).await {
        ClaimOutcome::Claimed(claim) => claim,
        _ => panic!("the claim is free"),
    }
}

async fn outcome(claims: &Claims<Outcome>) -> Option<Outcome> {
    match claims.claim_or_wait(KEY).await {
        ClaimOutcome::Claimed(_) => panic!("the claim is taken"),
        ClaimOutcome::Completed(outcome) => Some(outcome),
        ClaimOutcome::InProgress => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_receives_the_claim_holders_outcome() {
    let (one, other) = instances();
    let held = claim(&one).await;
    let work = async {
        sleep(Duration::from_secs(2)).await;
        held.complete(&Outcome::Done(1)).await;
    };
    let ((), here, there) = futures_util::join!(work, outcome(&one), outcome(&other));
    assert_eq!(
        (here, there),
        (Some(Outcome::Done(1)), Some(Outcome::Done(1)))
    );
}

#[tokio::test(start_paused = true)]
async fn different_keys_are_different_claims() {
    let (one, _) = instances();
    let _held = claim(&one).await;
    let other = one.claim_or_wait("{other}").await;
    assert!(matches!(other, ClaimOutcome::Claimed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_released_claim_goes_to_exactly_one_waiter() {
    let (one, other) = instances();
    let held = claim(&one).await;
    let release = async {
        sleep(Duration::from_millis(100)).await;
        held.release().await;
    };
    let waiters = futures_util::join!(
        release,
        one.claim_or_wait(KEY),
        one.claim_or_wait(KEY),
        other.claim_or_wait(KEY)
    );
    let claimed = [&waiters.1, &waiters.2, &waiters.3]
        .iter()
        .filter(|outcome| matches!(outcome, ClaimOutcome::Claimed(_)))
        .count();
    assert_eq!(claimed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gives_up_on_an_unfinished_claim_after_the_wait() {
    let (one, other) = instances();
    let _held = claim(&one).await;
    for claims in [&one, &other] {
        let start = Instant::now();
        assert_eq!(outcome(claims).await, None);
        assert!(start.elapsed() >= RULES.wait && start.elapsed() < RULES.wait * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_no_longer_than_its_request_lasts() {
    let (one, _) = instances();
    let _held = claim(&one).await;
    let start = Instant::now();
    let end = start + Duration::from_secs(1);
    assert_eq!(deadline::scope(Some(end), outcome(&one)).await, None);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_leaves_no_claim_behind() {
    let (one, other) = instances();
    let held = claim(&one).await;
    let waiting = tokio::time::timeout(Duration::from_secs(1), other.claim_or_wait(KEY));
    assert!(waiting.await.is_err());
    held.complete(&Outcome::Done(1)).await;
    assert_eq!(outcome(&other).await, Some(Outcome::Done(1)));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_claim_gets_the_outcome_of_its_rules() {
    let rules = ClaimRules {
        abandoned: Some(Outcome::Failed),
        ..RULES
    };
    let one = instance(&memory(), rules);
    drop(claim(&one).await);
    assert_eq!(outcome(&one).await, Some(Outcome::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_claim_released_by_one_instance_is_free_for_another() {
    let (one, other) = instances();
    claim(&one).await.release().await;
    let _held = claim(&other).await;
}

/// A claim that was made while shared state was down, so it is not stored there.
async fn claim_without_shared_state(claims: &Claims<Outcome>, shared: &Kv) -> Claim<Outcome> {
    let held = claim(claims).await;
    shared.delete(KEY, Delivery::Required).await.unwrap();
    held
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_completes_or_releases_a_claim() {
    let shared = memory();
    let (one, other) = (instance(&shared, RULES), instance(&shared, RULES));
    let late = claim_without_shared_state(&one, &shared).await;
    claim(&other).await.complete(&Outcome::Done(1)).await;
    late.complete(&Outcome::Failed).await;
    assert_eq!(
        outcome(&instance(&shared, RULES)).await,
        Some(Outcome::Done(1))
    );

    let shared = memory();
    let (one, other) = (instance(&shared, RULES), instance(&shared, RULES));
    let late = claim_without_shared_state(&one, &shared).await;
    let held = claim(&other).await;
    late.release().await;
    assert_eq!(outcome(&instance(&shared, RULES)).await, None, "still held");
    held.complete(&Outcome::Done(2)).await;
    assert_eq!(
        outcome(&instance(&shared, RULES)).await,
        Some(Outcome::Done(2))
    );
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_shared_even_when_the_claim_was_not() {
    let shared = memory();
    let (one, other) = (instance(&shared, RULES), instance(&shared, RULES));
    let held = claim_without_shared_state(&one, &shared).await;
    held.complete(&Outcome::Done(1)).await;
    assert_eq!(outcome(&other).await, Some(Outcome::Done(1)));
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_claim_expires_before_an_outcome() {
    let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
    let manual = || Clock::Manual(clock.clone());
    let rules = ClaimRules {
        claim_ttl: Duration::from_secs(6),
        ..RULES
    };
    let shared = Kv::Memory(MemoryStore::new(manual()));
    let claims = Claims::new(shared, manual(), Random::seeded(1), rules);
    let _lost = claim(&claims).await;
    clock.advance_seconds(7);
    claim(&claims).await.complete(&Outcome::Done(1)).await;
    clock.advance_seconds(299);
    assert_eq!(outcome(&claims).await, Some(Outcome::Done(1)));
    clock.advance_seconds(2);
    let _held = claim(&claims).await;
}

#[tokio::test(start_paused = true)]
async fn without_shared_state_the_requests_of_one_instance_still_wait_for_each_other() {
    let nowhere = Kv::Redis(RedisStore::new(&"redis://127.0.0.1:1/".into()));
    let claims = instance(&nowhere, RULES);
    let held = claim(&claims).await;
    held.complete(&Outcome::Done(1)).await;
    assert_eq!(outcome(&claims).await, Some(Outcome::Done(1)));
}

#[test]
fn the_stored_form_is_stable() {
    let text = |stored: &Stored<Outcome>| String::from_utf8(encode(stored)).unwrap();
    let pending = Stored::Pending {
        owner: "a".to_owned(),
    };
    assert_eq!(text(&pending), r#"{"Pending":"a"}"#);
    assert_eq!(text(&Stored::Completed(Outcome::Done(1))), r#"{"Done":1}"#);
}
