//! DynamoDB takes no more writes from one of a deletion's writes on, or cancels its transactions:
//! the client is told so, and when DynamoDB has recovered, the deletion is completed.

use std::sync::Arc;

use e2e::{
    settings::APP_ID,
    test_app::{Api, SharedState::Redis, TestApp, Tokens},
};
use futures_util::{StreamExt, stream};
use rstest::rstest;
use tokio::sync::RwLock;

use super::{start, with_everything};
use crate::dynamodb_faults::{BrokenWrites, Fault, Front};

/// Deletions at the same time: they wait most of the time.
const CONCURRENCY: usize = 12;
/// More than any lease of a saga, in seconds.
const LEASE: i64 = 60;

/// The clock of the app, which all deletions share: a code is good for five minutes, so nobody may advance
/// it while another one's code is on its way.
#[derive(Clone, Default)]
struct SharedClock(Arc<RwLock<()>>);

impl SharedClock {
    async fn advance(&self, app: &TestApp) {
        let _alone = self.0.write().await;
        app.clock.advance_seconds(LEASE);
    }
}

/// Somebody with a row of every kind, behind a table of their own.
struct Victim {
    tokens: Tokens,
    name: String,
    /// What their rows are found by.
    texts: Vec<String>,
    front: Front,
    api: Api,
    clock: SharedClock,
}

impl Victim {
    async fn new(app: &TestApp, name: String, clock: &SharedClock) -> Self {
        let codes_are_used = clock.0.read().await;
        let tokens = with_everything(app, &name).await;
        drop(codes_are_used);
        let (front, api) = Front::of(app).await;
        let texts = texts(app, &tokens).await;
        Self {
            tokens,
            name,
            texts,
            front,
            api,
            clock: clock.clone(),
        }
    }

    /// Deletes the account while writes are `broken`. How often a write was refused.
    async fn delete(&self, broken: BrokenWrites) -> usize {
        self.front.breaks_writes(broken);
        let answer = self.api.delete_account(&self.tokens.access).await;
        let refused = self.front.heal();
        match answer.status {
            200 => assert_eq!(answer.data()["status"], "deleted"),
            202 => assert_eq!(answer.data()["status"], "deleting"),
            // Other transactions have held it up to its deadline.
            504 => drop(answer.fails(504, "upstream_timeout").clone()),
            _ => {
                answer.fails(503, "unavailable");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
            }
        }
        assert!(refused > 0 || answer.status == 200, "{answer:?}");
        refused
    }

    /// The client sends its request again.
    async fn delete_again(&self, app: &TestApp, what: &str) {
        let again = async || self.api.delete_account(&self.tokens.access).await;
        let mut answer = again().await;
        if answer.status == 202 {
            // The request that stopped could not even give the saga back.
            self.clock.advance(app).await;
            answer = again().await;
        }
        assert_eq!(answer.ok(200)["status"], "deleted", "{what}");
        // And once more, as if the answer had been lost.
        assert_eq!(again().await.ok(200), answer.ok(200), "{what}");
    }

    /// The person logs in instead.
    async fn log_in(&self, app: &TestApp, what: &str) {
        self.clock.advance(app).await;
        let code_is_used = self.clock.0.read().await;
        let code = app.code_in(APP_ID, &self.name);
        let again = Tokens::of(&self.api.login(&code).await);
        drop(code_is_used);
        if again.user_id() != self.tokens.user_id() {
            // Behind the identities a login finds nothing, but nothing about the person is left.
            let partition = format!("USER#{}", self.tokens.user_id());
            let left = format!("{:?}", app.table.partition(&partition).await);
            for text in [&self.name, "nickname", "phone"] {
                assert!(!left.contains(text), "{what}: {text} in {left}");
            }
        }
        self.api.delete_account(&again.access).await.ok(200);
    }
}

/// What the user's rows are found by: the ids of the user and of both identities, the union id, the
/// hash of the number.
async fn texts(app: &TestApp, tokens: &Tokens) -> Vec<String> {
    let id = tokens.user_id();
    let profile = app.table.item(&format!("USER#{id}"), "PROFILE").await;
    let profile = profile.unwrap();
    let mut pks = profile["identities"].as_ss().unwrap().clone();
    let identity = app.table.item(&pks[0], "IDENTITY").await.unwrap();
    let union_id = identity["unionId"].as_s().unwrap().clone();
    pks.push(profile["phoneClaim"].as_s().unwrap().clone());
    let ids = pks.iter().map(|pk| pk.rsplit_once('#').unwrap().1);
    let texts: Vec<_> = ids.map(str::to_owned).chain([id, union_id]).collect();
    assert_eq!(texts.len(), 5);
    texts
}

/// Nothing is left of any of them in the table.
async fn assert_gone(app: &TestApp, victims: &[Victim]) {
    let rows = format!("{:?}", app.rows().await);
    for text in victims.iter().flat_map(|victim| &victim.texts) {
        assert!(!rows.contains(text), "{text} is left in {rows}");
    }
}

/// Breaks one deletion after the other, each one write later, until one is not touched.
async fn break_at_every_write(single: Fault, transaction: Fault, by_login: bool) {
    let (app, clock) = (start(Redis).await, SharedClock::default());
    let broken = |good| BrokenWrites {
        good,
        single: Some(single),
        transaction: Some(transaction),
    };
    let one = async |good: usize| {
        let victim = Victim::new(&app, format!("person{good}"), &clock).await;
        let refused = victim.delete(broken(good)).await;
        let what = format!("{:?}", broken(good));
        if by_login {
            victim.log_in(&app, &what).await;
        }
        victim.delete_again(&app, &what).await;
        (victim, refused)
    };
    let all = stream::iter(0..).map(one).buffered(CONCURRENCY);
    let broken = all.take_while(|(_, refused)| std::future::ready(*refused > 0));
    let victims: Vec<_> = broken.map(|(victim, _)| victim).collect().await;
    assert!(victims.len() > 20, "only {} writes", victims.len());
    assert_gone(&app, &victims).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_throttled_between_any_two_writes_is_completed(
    #[values(false, true)] by_login: bool,
) {
    let (single, transaction) = if by_login {
        let code = "ProvisionedThroughputExceededException";
        (
            Fault::Refused(code),
            Fault::CancelledFor("ThrottlingError", 0),
        )
    } else {
        let code = Fault::Refused("ThrottlingException");
        (code, code)
    };
    break_at_every_write(single, transaction, by_login).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_among_other_transactions_is_completed() {
    let cancelled = Fault::CancelledFor("TransactionConflict", 0);
    break_at_every_write(Fault::Conflict, cancelled, false).await;
}

/// Each reason that DynamoDB documents, of each write, except that a condition failed: that is what the
/// rows say, and a race (`races.rs`)
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html>).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_whose_transaction_is_cancelled_for_any_reason_is_completed() {
    let (app, clock) = (start(Redis).await, SharedClock::default());
    let reasons = [
        "ItemCollectionSizeLimitExceeded",
        "TransactionConflict",
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "ValidationError",
        "DuplicateItem",
    ];
    let cases = reasons.into_iter().flat_map(|reason| {
        // The saga and the account; the number and its owner; two identities.
        (0..4).flat_map(move |good| (0..3).map(move |at| (reason, good, at)))
    });
    let one = async |(number, (reason, good, at)): (usize, (&'static str, usize, usize))| {
        let victim = Victim::new(&app, format!("person{number}"), &clock).await;
        let transaction = Some(Fault::CancelledFor(reason, at));
        let broken = BrokenWrites {
            good,
            single: None,
            transaction,
        };
        let refused = victim.delete(broken).await;
        assert!(refused > 0, "{broken:?}");
        victim.delete_again(&app, &format!("{broken:?}")).await;
        victim
    };
    let all = stream::iter(cases.enumerate()).map(one);
    let victims: Vec<_> = all.buffer_unordered(CONCURRENCY).collect().await;
    assert_gone(&app, &victims).await;
}
