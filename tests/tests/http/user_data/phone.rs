//! The number behind the phone button, and whose it is.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    wire_proxy,
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use futures_util::{future::join_all, join};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{Fault, UserChange};

use super::{refuses, start};

const PHONE_NUMBER: &str = "/wxa/business/getuserphonenumber";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const NUMBER: &str = "13900139000";

/// From now on this is the person's number.
fn has_number(world: &World, person: &str, number: &str) {
    let change = UserChange {
        phone: Some(number.to_owned()),
        ..UserChange::default()
    };
    world.wechat.change_user(person, change).unwrap();
}

fn phone_code(world: &World, person: &str) -> String {
    world.wechat.phone_code(person, Some(APP_ID)).unwrap()
}

/// The rows of numbers, each with its owner.
async fn owners(world: &World) -> Vec<(String, String)> {
    let rows = world.rows().await.into_iter();
    let numbers = rows.filter(|((pk, _), _)| pk.starts_with("PHONE#"));
    numbers
        .map(|((pk, _), row)| (pk, row["uid"].as_s().unwrap().clone()))
        .collect()
}

async fn bind(world: &World, person: &str, tokens: &Tokens) -> e2e::http::Answer {
    world
        .api
        .bind_phone(&tokens.access, &phone_code(world, person))
        .await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_bound_and_shown_to_its_owner(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    has_number(&world, "alice", NUMBER);
    world.clock.advance_seconds(1);
    let answer = bind(&world, "alice", &tokens).await;
    let user = answer.ok(200);
    assert_eq!(
        (&user["phone"], &user["version"], &user["id"]),
        (&json!(NUMBER), &json!(2), &json!(tokens.user_id()))
    );
    assert_eq!(user["updatedAt"], "2026-11-23T08:00:01.123Z");
    assert_eq!(world.api.info(&tokens.access).await.ok(200), user);
    // A later login brings it along.
    let again = world.api.login(&world.code("alice")).await;
    assert_eq!(again.ok(200)["user"]["phone"], NUMBER);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cached_profile_is_forgotten(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for number in ["13900139000", "13900139001", "13900139002"] {
        assert_ne!(
            world.api.info(&tokens.access).await.ok(200)["phone"],
            number
        );
        has_number(&world, "alice", number);
        bind(&world, "alice", &tokens).await.ok(200);
        assert_eq!(
            world.api.info(&tokens.access).await.ok(200)["phone"],
            number
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_country_code_may_be_a_number(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let change = UserChange {
        phone: Some(NUMBER.into()),
        numeric_country_code: Some(true),
        ..UserChange::default()
    };
    world.wechat.change_user("alice", change).unwrap();
    assert_eq!(
        bind(&world, "alice", &tokens).await.ok(200)["phone"],
        NUMBER
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_from_abroad_brings_its_country(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let change = UserChange {
        phone: Some("51234567".into()),
        country_code: Some(852),
        ..UserChange::default()
    };
    world.wechat.change_user("alice", change).unwrap();
    assert_eq!(
        bind(&world, "alice", &tokens).await.ok(200)["phone"],
        "+85251234567"
    );
    // A mainland number that can't be one is WeChat's mistake, and nothing of it is written.
    let change = UserChange {
        phone: Some("12345".into()),
        country_code: Some(86),
        ..UserChange::default()
    };
    world.wechat.change_user("alice", change).unwrap();
    bind(&world, "alice", &tokens)
        .await
        .fails(502, "upstream_error");
    assert_eq!(
        world.api.info(&tokens.access).await.ok(200)["phone"],
        "+85251234567"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_somebody_elses_is_a_conflict(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    has_number(&world, "alice", NUMBER);
    has_number(&world, "bob", NUMBER);
    bind(&world, "alice", &alice).await.ok(200);
    let answer = bind(&world, "bob", &bob).await;
    answer.fails(409, "phone_taken");
    assert_eq!(answer.message(), "该手机号已绑定其他账号");
    let user = world.api.info(&bob.access).await;
    assert_eq!(
        (&user.ok(200)["phone"], &user.data()["version"]),
        (&Value::Null, &json!(1))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_number_takes_the_place_of_the_first_which_is_free_then(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    has_number(&world, "alice", NUMBER);
    bind(&world, "alice", &alice).await.ok(200);
    has_number(&world, "alice", "13900139001");
    assert_eq!(
        bind(&world, "alice", &alice).await.ok(200)["phone"],
        "13900139001"
    );
    assert_eq!(owners(&world).await.len(), 1);
    has_number(&world, "bob", NUMBER);
    bind(&world, "bob", &bob).await.ok(200);
    assert_eq!(owners(&world).await.len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_number_again_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    bind(&world, "alice", &tokens).await.ok(200);
    let before = world.rows().await;
    world.clock.advance_seconds(5);
    assert_eq!(bind(&world, "alice", &tokens).await.ok(200)["version"], 2);
    assert_eq!(world.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_users_who_bind_one_number_at_once_one_gets_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    for round in 0..8 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let number = format!("1390013900{round}");
        let (alice, bob) = (world.log_in(&a).await, world.log_in(&b).await);
        has_number(&world, &a, &number);
        has_number(&world, &b, &number);
        let (first, second) = join!(bind(&world, &a, &alice), bind(&world, &b, &bob));
        let (won, lost) = if first.status == 200 {
            (first, second)
        } else {
            (second, first)
        };
        assert_eq!(won.ok(200)["phone"], number);
        lost.fails(409, "phone_taken");
        let owner = won.data()["id"].as_str().unwrap().to_owned();
        assert_eq!(
            owners(&world)
                .await
                .iter()
                .filter(|(_, uid)| *uid == owner)
                .count(),
            1
        );
    }
    assert_eq!(owners(&world).await.len(), 8);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_bindings_of_one_user_at_once_the_last_one_is_whole(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let mut codes = Vec::new();
    for _ in 0..10 {
        codes.push(phone_code(&world, "alice"));
    }
    has_number(&world, "alice", NUMBER);
    let answers = join_all(
        codes
            .iter()
            .map(|code| world.api.bind_phone(&tokens.access, code)),
    )
    .await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    let user = world.api.info(&tokens.access).await;
    assert_eq!(
        (&user.ok(200)["phone"], &user.data()["version"]),
        (&json!(NUMBER), &json!(2))
    );
    assert_eq!(owners(&world).await.len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_profile_meanwhile_is_kept(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for round in 0..8 {
        has_number(&world, "alice", &format!("1390013900{round}"));
        let nickname = json!({"nickname": format!("round {round}")});
        let (bound, changed) = join!(
            bind(&world, "alice", &tokens),
            world.api.change(&tokens.access, &nickname)
        );
        bound.ok(200);
        changed.ok(200);
        let user = world.api.info(&tokens.access).await;
        assert_eq!(user.ok(200)["phone"], format!("1390013900{round}"));
        assert_eq!(user.data()["nickname"], nickname["nickname"]);
        assert_eq!(user.data()["version"], 3 + 2 * round);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_again_gets_the_same_answer(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let code = phone_code(&world, "alice");
    let first = world.api.bind_phone(&tokens.access, &code).await;
    let second = world.api.bind_phone(&tokens.access, &code).await;
    assert_eq!(first.ok(200), second.ok(200));
    assert_eq!(world.wechat.calls(PHONE_NUMBER), 1);
    // Not for somebody else, and not for ever.
    let bob = world.log_in("bob").await;
    world
        .api
        .bind_phone(&bob.access, &code)
        .await
        .fails(400, "phone_code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_could_not_be_written_is_written_by_the_next_try(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::with(state).own_redis().proxied().start().await;
    let tokens = world.log_in("alice").await;
    let code = phone_code(&world, "alice");
    // DynamoDB goes away between WeChat's answer and the write.
    let slow = Fault {
        path: Some(PHONE_NUMBER.into()),
        latency_ms: Some(700),
        ..Fault::default()
    };
    world.wechat.set_faults([slow]).unwrap();
    let cut = async {
        while world.wechat.calls(PHONE_NUMBER) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        world
            .proxies()
            .dynamodb
            .set(wire_proxy::Fault::Refuse)
            .await;
        world.proxies().dynamodb.reset();
    };
    let (answer, ()) = join!(world.api.bind_phone(&tokens.access, &code), cut);
    answer.fails(503, "unavailable");
    world.proxies().dynamodb.heal().await;
    assert!(world.api.bind_phone(&tokens.access, &code).await.ok(200)["phone"].is_string());
    assert_eq!(world.wechat.calls(PHONE_NUMBER), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_user_is_refused_and_not_used_up(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    let code = phone_code(&world, "alice");
    world
        .api
        .bind_phone(&bob.access, &code)
        .await
        .fails(400, "phone_code_invalid");
    world.api.bind_phone(&alice.access, &code).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_that_are_none_are_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    world
        .api
        .bind_phone(&tokens.access, "never-given-out")
        .await
        .fails(400, "phone_code_invalid");
    // A code of wx.login is no phone code.
    world
        .api
        .bind_phone(&tokens.access, &world.code("alice"))
        .await
        .fails(400, "phone_code_invalid");
    let elsewhere = world
        .wechat
        .phone_code("alice", Some(OTHER_APP_ID))
        .unwrap();
    world
        .api
        .bind_phone(&tokens.access, &elsewhere)
        .await
        .fails(400, "phone_code_invalid");
    let late = phone_code(&world, "alice");
    world.clock.advance_seconds(301);
    world
        .api
        .bind_phone(&tokens.access, &late)
        .await
        .fails(400, "phone_code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_can_not_be_one_never_reaches_wechat(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for bad in ["", "a b", "a\n", "码", &"x".repeat(257)] {
        world
            .api
            .bind_phone(&tokens.access, bad)
            .await
            .fails_at(&["code"]);
    }
    assert_eq!(
        (
            world.wechat.calls(PHONE_NUMBER),
            world.wechat.calls(STABLE_TOKEN)
        ),
        (0, 0)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_errcode_has_its_status_and_reason(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (40029, 400, "phone_code_invalid"),
        (40013, 400, "phone_code_invalid"),
        (45011, 429, "rate_limited"),
        (45009, 503, "unavailable"),
        (40164, 500, "internal"),
        (48001, 500, "internal"),
        (47001, 502, "upstream_error"),
    ] {
        refuses(&world, PHONE_NUMBER, errcode);
        let answer = bind(&world, "alice", &tokens).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, Some(reason)),
            "{errcode}"
        );
        assert_eq!(
            answer.header("retry-after"),
            (errcode == 45009)
                .then_some("3600")
                .or(answer.header("retry-after"))
        );
    }
    assert_eq!(
        world.api.info(&tokens.access).await.ok(200)["phone"],
        Value::Null
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_access_token_is_replaced_in_the_middle_of_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    for errcode in [40001, 40014, 42001] {
        let once = Fault {
            path: Some(PHONE_NUMBER.into()),
            errcode: Some(errcode),
            times: Some(1),
            ..Fault::default()
        };
        world.wechat.set_faults([once]).unwrap();
        bind(&world, "alice", &tokens).await.ok(200);
    }
    assert_eq!(world.wechat.calls(PHONE_NUMBER), 6);
    refuses(&world, PHONE_NUMBER, 40001);
    bind(&world, "alice", &tokens)
        .await
        .fails(502, "upstream_error");
    assert_eq!(world.wechat.calls(PHONE_NUMBER), 8);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_has_no_clear_key_in_the_table(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    has_number(&world, "alice", NUMBER);
    bind(&world, "alice", &tokens).await.ok(200);
    let rows = world.rows().await;
    assert!(
        rows.keys()
            .all(|(pk, sk)| !pk.contains(NUMBER) && !sk.contains(NUMBER)),
        "{:?}",
        rows.keys()
    );
    let [(pk, owner)] = owners(&world).await.try_into().unwrap();
    assert_eq!(owner, tokens.user_id());
    let profile = &rows[&(format!("USER#{owner}"), "PROFILE".to_owned())];
    assert_eq!(profile["phoneClaim"].as_s().unwrap(), &pk);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_data_key_moves_the_number_and_keeps_it_unique(
    #[values(InProcess, Redis)] state: SharedState,
) {
    const NEW: &str = "k2:1f1d3c5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c";
    let world = start(state).await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    has_number(&world, "alice", NUMBER);
    has_number(&world, "bob", NUMBER);
    bind(&world, "alice", &alice).await.ok(200);
    let [(old, _)] = owners(&world).await.try_into().unwrap();

    let both = format!("{NEW},{}", world.env().get("DATA_KEYS").unwrap());
    let rotated = world.another_instance_with(&[("DATA_KEYS", &both)]).await;
    rotated
        .bind_phone(&bob.access, &phone_code(&world, "bob"))
        .await
        .fails(409, "phone_taken");
    rotated
        .bind_phone(&alice.access, &phone_code(&world, "alice"))
        .await
        .ok(200);
    let [(new, owner)] = owners(&world).await.try_into().unwrap();
    assert_eq!(owner, alice.user_id());
    assert_ne!(new, old);
    rotated
        .bind_phone(&bob.access, &phone_code(&world, "bob"))
        .await
        .fails(409, "phone_taken");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_binds_without_a_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let code = phone_code(&world, "alice");
    let body = json!({"code": code});
    world
        .api
        .request("POST", "/api/v1/user/phone")
        .json(&body)
        .send()
        .await
        .fails(401, "token_missing");
    world.disable(&tokens.user_id()).await;
    world
        .api
        .bind_phone(&tokens.access, &code)
        .await
        .fails(403, "user_disabled");
    assert_eq!(world.wechat.calls(PHONE_NUMBER), 0);
}
