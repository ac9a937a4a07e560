//! A number that another user has, over the Runtime API: each function is a process of its own.

use e2e::{events::load, http::Answer, test_app::Tokens};
use serde_json::{Value, json};
use wechat_simulator::UserChange;

use crate::harness::{LambdaHarness, answer};

/// The body of the sample event, which was made for a ticket that nobody has.
fn resolve_event(tokens: &Tokens, ticket: &str, choice: &str) -> Value {
    let mut event = load("login", "resolve-phone", &[("accessToken", &tokens.access)]);
    let body = json!({"ticket": ticket, "choice": choice});
    event["body"] = body.to_string().into();
    event
}

fn phone_event(harness: &LambdaHarness, person: &str, tokens: &Tokens) -> Value {
    let code = harness.wechat.phone_code(person, None).unwrap();
    let values = [
        ("accessToken", tokens.access.as_str()),
        ("phoneCode", &code),
    ];
    load("user-data", "phone", &values)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_with_one_number_become_one() {
    let harness = LambdaHarness::start().await;
    let (login, user_data) = (harness.function("login"), harness.function("user-data"));
    for person in ["alice", "bob"] {
        let change = UserChange {
            phone: Some("13900139000".to_owned()),
            ..UserChange::default()
        };
        harness.wechat.change_user(person, change).unwrap();
    }
    let alice = harness.log_in(&login, "alice").await;
    let bound = answer(&user_data, &phone_event(&harness, "alice", &alice)).await;
    bound.ok(200);
    let bob = harness.log_in(&login, "bob").await;
    let taken = answer(&user_data, &phone_event(&harness, "bob", &bob)).await;
    let offer = taken.fails(409, "phone_taken");
    assert_eq!(offer["choice"], "merge");
    let ticket = offer["ticket"].as_str().unwrap();
    // It is of another session.
    let foreign = answer(&login, &resolve_event(&alice, ticket, "merge")).await;
    foreign.fails(409, "ticket_invalid");
    let merged: Answer = answer(&login, &resolve_event(&bob, ticket, "merge")).await;
    assert_eq!(merged.ok(200)["user"]["id"], alice.user_id());
    assert_eq!(Tokens::of(&merged).user_id(), alice.user_id());
    let again = harness.log_in(&login, "bob").await;
    assert_eq!(again.user_id(), alice.user_id());
}
