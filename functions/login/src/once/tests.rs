use uuid::Uuid;

use super::*;

fn once() -> Once {
    instances().0
}

/// Two instances that share state.
fn instances() -> (Once, Once) {
    let shared = Kv::Memory(MemoryStore::new(Clock::System));
    let instance = || Once::new(shared.clone(), Clock::System, Random::System);
    (instance(), instance())
}

async fn begin(once: &Once, code: &str) -> Turn {
    once.begin(&"wx1".parse().unwrap(), &code.into()).await
}

fn opened() -> Record {
    Record::Opened(Opened {
        user: UserId(Uuid::from_u128(1)),
        session: SessionId(Uuid::from_u128(2)),
        is_new: true,
    })
}

#[tokio::test(start_paused = true)]
async fn a_second_caller_gets_the_first_ones_outcome() {
    let once = once();
    let Turn::Ours(claim) = begin(&once, "code").await else {
        panic!("the first caller claims")
    };
    let first = async {
        sleep(Duration::from_secs(2)).await;
        claim.settle(&opened()).await;
    };
    let ((), second) = futures_util::join!(first, begin(&once, "code"));
    assert!(matches!(second, Turn::Done(record) if record == opened()));
}

#[tokio::test(start_paused = true)]
async fn another_code_is_another_login() {
    let once = once();
    assert!(matches!(begin(&once, "code").await, Turn::Ours(_)));
    assert!(matches!(begin(&once, "other").await, Turn::Ours(_)));
    let other_app = once.begin(&"wx2".parse().unwrap(), &"code".into()).await;
    assert!(matches!(other_app, Turn::Ours(_)));
}

#[tokio::test(start_paused = true)]
async fn a_released_code_is_claimed_by_exactly_one_waiter() {
    let once = once();
    let Turn::Ours(claim) = begin(&once, "code").await else {
        panic!("the first caller claims")
    };
    let release = async {
        sleep(Duration::from_millis(100)).await;
        claim.release().await;
    };
    let ((), a, b) = futures_util::join!(release, begin(&once, "code"), begin(&once, "code"));
    let ours = [&a, &b]
        .iter()
        .filter(|turn| matches!(turn, Turn::Ours(_)))
        .count();
    assert_eq!(ours, 1);
}

#[tokio::test(start_paused = true)]
async fn a_claimant_that_died_blocks_nobody_for_longer_than_the_wait() {
    let (dead, alive) = instances();
    let Turn::Ours(_claim) = begin(&dead, "code").await else {
        panic!("the first caller claims")
    };
    let start = Instant::now();
    assert!(matches!(
        begin(&alive, "code").await,
        Turn::Done(Record::Pending(_))
    ));
    assert!(start.elapsed() < WAIT + LAST_LOOK * 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_who_hangs_up_leaves_no_claim_behind() {
    let (here, there) = instances();
    let Turn::Ours(claim) = begin(&here, "code").await else {
        panic!("the first caller claims")
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(1), begin(&there, "code"))
            .await
            .is_err()
    );
    claim.settle(&opened()).await;
    assert!(matches!(begin(&there, "code").await, Turn::Done(record) if record == opened()));
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_an_end_counts_as_a_code_that_was_sent() {
    let once = once();
    drop(begin(&once, "code").await);
    assert!(matches!(
        begin(&once, "code").await,
        Turn::Done(Record::Failed(Failure::CodeUsed))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_at_another_instance_gets_the_outcome_and_later_ones_there_too() {
    let (here, there) = instances();
    let Turn::Ours(claim) = begin(&here, "code").await else {
        panic!("the first caller claims")
    };
    let settle = async {
        sleep(Duration::from_millis(100)).await;
        claim.settle(&opened()).await;
    };
    let ((), waited) = futures_util::join!(settle, begin(&there, "code"));
    assert!(matches!(waited, Turn::Done(record) if record == opened()));
    assert!(matches!(begin(&there, "code").await, Turn::Done(record) if record == opened()));
}

#[tokio::test(start_paused = true)]
async fn a_code_released_at_one_instance_can_be_claimed_at_another() {
    let (here, there) = instances();
    let Turn::Ours(claim) = begin(&here, "code").await else {
        panic!("the first caller claims")
    };
    claim.release().await;
    assert!(matches!(begin(&there, "code").await, Turn::Ours(_)));
}

#[tokio::test(start_paused = true)]
async fn while_shared_state_fails_the_requests_of_one_instance_still_wait_for_each_other() {
    let nowhere = Kv::Redis(shared::kv::RedisStore::new(&"redis://127.0.0.1:1/".into()));
    let once = Once::new(nowhere, Clock::System, Random::System);
    let Turn::Ours(claim) = begin(&once, "code").await else {
        panic!("the first caller claims")
    };
    claim.settle(&opened()).await;
    assert!(matches!(begin(&once, "code").await, Turn::Done(record) if record == opened()));
}
