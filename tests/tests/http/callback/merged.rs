//! WeChat says that data must go while the account that holds it is being merged into another one: it
//! goes from the account that has the identity then, or WeChat is asked to send the message again.

use e2e::{
    dynamodb::Item,
    settings::APP_ID,
    test_app::{SharedState::Redis, TestApp, Tokens},
};
use futures_util::join;
use rstest::rstest;
use serde_json::json;
use shared::{
    accounts::AccountMerge, clock::Clock, ids::UserId, instance::Instance, random::Random,
    saga::Progress,
};
use wechat_simulator::PushOrder;

use super::pushes::{deliver, event, refusal};
use crate::dynamodb_faults::{Fault, Front, Hold};

const NICKNAME: &str = "小明";

/// Alice, who has a nickname, and others whose accounts hers is merged into, one after the other.
struct People {
    app: TestApp,
    alice: Tokens,
    others: Vec<Tokens>,
}

impl People {
    async fn start(others: usize) -> Self {
        let app = TestApp::start(Redis).await;
        let alice = app.log_in("alice").await;
        let change = json!({"nickname": NICKNAME});
        app.api.change(&alice.access, &change).await.ok(200);
        let mut people = Self {
            app,
            alice,
            others: Vec::new(),
        };
        for number in 0..others {
            let other = people.app.log_in(&format!("other{number}")).await;
            people.others.push(other);
        }
        people
    }

    /// Merges the account that has alice's identity after `before` merges into the next one.
    async fn merge(&self, before: usize) {
        let from = before.checked_sub(1).map(|at| &self.others[at]);
        let (from, into) = (id(from.unwrap_or(&self.alice)), id(&self.others[before]));
        let merged = merge(&self.app, &[]).begin(from, into, None).await;
        assert_eq!(merged.unwrap(), Progress::Done);
    }

    /// The row of the account that survives.
    async fn survivor(&self) -> Option<Item> {
        let id = self.others.last().unwrap().user_id();
        self.app.table.item(&format!("USER#{id}"), "PROFILE").await
    }

    /// What WeChat demands has been done to the account that has alice's identity now.
    async fn assert_carried_out(&self, order: &PushOrder) {
        let survivor = self.survivor().await.unwrap();
        assert!(!survivor.contains_key("nickname"), "{survivor:?}");
        let rows = format!("{:?}", self.app.rows().await);
        assert!(!rows.contains(NICKNAME), "{rows}");
        let open_id = self.app.wechat.open_id("alice", Some(APP_ID)).unwrap();
        let identity = format!("WX#{APP_ID}#{open_id}");
        assert_eq!(rows.contains(&identity), *order != cancelled(), "{rows}");
    }
}

/// A merge as a function has it, beside the app's instances.
fn merge(app: &TestApp, changes: &[(&str, &str)]) -> AccountMerge {
    let clock = Clock::Manual(app.clock.clone());
    Instance::new(app.env_with(changes), clock, Random::System).account_merge()
}

fn id(tokens: &Tokens) -> UserId {
    tokens.user_id().parse().unwrap()
}

fn cancelled() -> PushOrder {
    event("user_authorization_cancellation", json!({}))
}

fn revoked() -> PushOrder {
    event("user_authorization_revoke", json!({"RevokeInfo": "6"}))
}

/// Holds the first request that the message causes for the account that has the identity: for a
/// cancellation a look at it, for a revocation a change.
fn hold(front: &Front, order: &PushOrder, account: &Tokens) -> Hold {
    let operation = if *order == cancelled() {
        "GetItem"
    } else {
        "UpdateItem"
    };
    front.hold_only(account.user_id().leak(), operation)
}

/// Merges that are each carried out between the look at the identity and what follows it.
async fn race(people: &People, front: &Front, order: &PushOrder, first: Hold) {
    let mut held = first;
    for (before, next) in people.others.iter().enumerate() {
        held.arrived().await;
        people.merge(before).await;
        let next = hold(front, order, next);
        drop(std::mem::replace(&mut held, next));
    }
}

#[rstest]
#[case::once(1)]
#[case::twice(2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_moved_with_the_identity_goes_too(
    #[values(cancelled(), revoked())] order: PushOrder,
    #[case] merges: usize,
) {
    let people = People::start(merges).await;
    let (front, api) = Front::of(&people.app).await;
    let push = people.app.wechat.push(&order).unwrap();
    let first = hold(&front, &order, &people.alice);
    let racing = race(&people, &front, &order, first);
    let (delivered, ()) = join!(deliver(&api, &push), racing);
    delivered.assert_success();
    people.assert_carried_out(&order).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_keeps_moving_has_wechat_send_the_message_again(
    #[values(cancelled(), revoked())] order: PushOrder,
) {
    let people = People::start(3).await;
    let (front, api) = Front::of(&people.app).await;
    let push = people.app.wechat.push(&order).unwrap();
    let first = hold(&front, &order, &people.alice);
    let racing = race(&people, &front, &order, first);
    let (refused, ()) = join!(refusal(&api, &push), racing);
    refused.fails(503, "unavailable");
    let survivor = people.survivor().await.unwrap();
    assert_eq!(survivor["nickname"].as_s().unwrap(), NICKNAME);
    deliver(&people.app.api, &push).await.assert_success();
    people.assert_carried_out(&order).await;
}

/// The identity is the survivor's already, and the nickname is not yet.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_stopped_is_completed_first(
    #[values(cancelled(), revoked())] order: PushOrder,
) {
    let people = People::start(1).await;
    let (front, _) = Front::of(&people.app).await;
    front.breaks_only(":nickname", "TransactWriteItems", Fault::Fails);
    let url = front.url();
    let merge = merge(&people.app, &[("AWS_ENDPOINT_URL_DYNAMODB", &url)]);
    let (from, into) = (id(&people.alice), id(&people.others[0]));
    merge.begin(from, into, None).await.unwrap_err();
    assert!(!people.survivor().await.unwrap().contains_key("nickname"));
    let push = people.app.wechat.push(&order).unwrap();
    deliver(&people.app.api, &push).await.assert_success();
    people.assert_carried_out(&order).await;
    assert_eq!(
        people.survivor().await.unwrap()["status"].as_s().unwrap(),
        "active"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_process_merges_wechat_has_to_send_the_message_again(
    #[values(cancelled(), revoked())] order: PushOrder,
) {
    let people = People::start(1).await;
    let (front, _) = Front::of(&people.app).await;
    let hold = front.hold_only(":nickname", "TransactWriteItems");
    let url = front.url();
    let merge = merge(&people.app, &[("AWS_ENDPOINT_URL_DYNAMODB", &url)]);
    let (from, into) = (id(&people.alice), id(&people.others[0]));
    let push = people.app.wechat.push(&order).unwrap();
    let (merged, ()) = join!(merge.begin(from, into, None), async {
        hold.arrived().await;
        let refused = refusal(&people.app.api, &push).await;
        refused.fails(503, "unavailable");
        drop(hold);
    });
    assert_eq!(merged.unwrap(), Progress::Done);
    let survivor = people.survivor().await.unwrap();
    assert_eq!(survivor["nickname"].as_s().unwrap(), NICKNAME);
    deliver(&people.app.api, &push).await.assert_success();
    people.assert_carried_out(&order).await;
}

/// WeChat's message is about what was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_made_by_a_login_right_after_the_deletion_stays() {
    let people = People::start(0).await;
    let (front, api) = Front::of(&people.app).await;
    let push = people.app.wechat.push(&cancelled()).unwrap();
    let hold = front.hold_only(":outcome", "UpdateItem");
    let (delivered, again) = join!(deliver(&api, &push), async {
        // All is deleted, and the handler has not looked again.
        hold.arrived().await;
        people.app.clock.advance_seconds(1);
        let again = people.app.log_in("alice").await;
        drop(hold);
        again
    });
    delivered.assert_success();
    assert_ne!(again.user_id(), people.alice.user_id());
    people.app.api.info(&again.access).await.ok(200);
}

/// Its account is gone without a deletion or a merge: by hand, in the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_leads_to_nobody_is_deleted() {
    let people = People::start(0).await;
    let pk = format!("USER#{}", people.alice.user_id());
    people.app.remove_row(&pk, "PROFILE").await;
    let push = people.app.wechat.push(&cancelled()).unwrap();
    deliver(&people.app.api, &push).await.assert_success();
    assert_eq!(people.app.count("IDENTITY").await, 0);
}
