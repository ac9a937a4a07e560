//! Nicknames that WeChat is asked about, where `CONTENT_CHECK` is `on`.

use e2e::world::{
    SharedState::{self, InProcess, Redis},
    World, capture, captured,
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, config::Env, instance::Instance, random::Random};
use wechat_simulator::{Fault, REVIEW_KEYWORD, RISKY_KEYWORD};

const CHECK: &str = "/wxa/msg_sec_check";

/// A world whose Redis is its own: in a shared one the worlds would take WeChat's access token from
/// each other.
async fn checking(state: SharedState, on_failure: &str) -> World {
    let plan = World::with(state).own_redis().set("CONTENT_CHECK", "on");
    plan.set("CONTENT_CHECK_ON_FAILURE", on_failure)
        .start()
        .await
}

fn fails(world: &World, errcode: i32) {
    let fault = Fault {
        path: Some(CHECK.to_owned()),
        errcode: Some(errcode),
        ..Fault::default()
    };
    world.wechat.set_faults([fault]).unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_nickname_is_refused_and_not_written(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = checking(state, "").await;
    let tokens = world.log_in("alice").await;
    let before = world.rows().await;
    let body = json!({"nickname": RISKY_KEYWORD, "gender": 1});
    let answer = world.api.change(&tokens.access, &body).await;
    answer.fails(400, "content_risky");
    assert_eq!(answer.message(), "内容含有违规信息，请修改后重试");
    assert_eq!(world.rows().await, before);
    world
        .api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    assert_eq!(world.wechat.calls(CHECK), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nickname_to_be_reviewed_is_written_and_logged(
    #[values(InProcess, Redis)] state: SharedState,
) {
    capture();
    let world = checking(state, "").await;
    let tokens = world.log_in("alice").await;
    let answer = world
        .api
        .change(&tokens.access, &json!({"nickname": REVIEW_KEYWORD}))
        .await;
    assert_eq!(answer.ok(200)["nickname"], REVIEW_KEYWORD);
    let lines = captured().json_where("audit", &"content_review".into());
    let line = lines
        .iter()
        .find(|line| line["user_id"] == tokens.user_id())
        .unwrap();
    assert_eq!(line["request_id"], answer.header("x-request-id").unwrap());
    assert!(!line.to_string().contains(REVIEW_KEYWORD), "{line}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_fields_are_not_checked(#[values(InProcess, Redis)] state: SharedState) {
    let world = checking(state, "").await;
    let tokens = world.log_in("alice").await;
    for body in [
        json!({"gender": 1}),
        json!({"nickname": null}),
        json!({"avatarUrl": "https://a.cn/x.png"}),
    ] {
        world.api.change(&tokens.access, &body).await.ok(200);
    }
    assert_eq!(world.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_checked_where_it_is_off(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let tokens = world.log_in("alice").await;
    let answer = world
        .api
        .change(&tokens.access, &json!({"nickname": RISKY_KEYWORD}))
        .await;
    assert_eq!(answer.ok(200)["nickname"], RISKY_KEYWORD);
    assert_eq!(world.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_a_rule_never_reaches_wechat(#[values(InProcess, Redis)] state: SharedState) {
    let world = checking(state, "").await;
    let tokens = world.log_in("alice").await;
    world
        .api
        .change(&tokens.access, &json!({"nickname": "x"}))
        .await
        .fails_at(&["nickname"]);
    assert_eq!(world.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_can_not_be_made_refuses_by_default(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = checking(state, "").await;
    let tokens = world.log_in("alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (44991, 429, "rate_limited"),
        (45009, 503, "unavailable"),
        (61010, 503, "unavailable"),
        (40164, 500, "internal"),
        (47001, 502, "upstream_error"),
    ] {
        fails(&world, errcode);
        let answer = world
            .api
            .change(&tokens.access, &json!({"nickname": "小明"}))
            .await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, Some(reason)),
            "{errcode}"
        );
    }
    assert_eq!(
        world.api.info(&tokens.access).await.ok(200)["nickname"],
        Value::Null
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_can_not_be_made_allows_where_that_is_said(
    #[values(InProcess, Redis)] state: SharedState,
) {
    capture();
    let world = checking(state, "allow").await;
    let tokens = world.log_in("alice").await;
    for errcode in [-1, 44991, 61010, 40164, 47001, 40001] {
        fails(&world, errcode);
        let nickname = format!("nr {errcode}");
        let answer = world
            .api
            .change(&tokens.access, &json!({"nickname": nickname}))
            .await;
        assert_eq!(answer.ok(200)["nickname"], nickname);
        assert_eq!(world.log_line(&answer)["degraded"], true);
    }
    world.wechat.clear_faults();
    world
        .api
        .change(&tokens.access, &json!({"nickname": RISKY_KEYWORD}))
        .await
        .fails(400, "content_risky");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_was_away_can_not_be_checked(#[values(InProcess, Redis)] state: SharedState) {
    let world = checking(state, "refuse").await;
    let tokens = world.log_in("alice").await;
    world.clock.advance_seconds(2 * 3600 - 60);
    world
        .api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    let tokens = e2e::world::Tokens::of(&world.api.refresh(&tokens.refresh).await);
    world.clock.advance_seconds(120);
    world
        .api
        .change(&tokens.access, &json!({"nickname": "小红"}))
        .await
        .fails(503, "unavailable");
    world.code("alice");
    world
        .api
        .change(&tokens.access, &json!({"nickname": "小红"}))
        .await
        .ok(200);
}

#[test]
fn only_a_check_that_is_on_asks_for_wechats_secrets() {
    let needed = |check: &str| {
        let env = Env::new([("CONTENT_CHECK", check), ("WECHAT_APPIDS", "wx1")]);
        let instance = Instance::new(env, Clock::System, Random::System);
        let problems = instance.app(user_info::routes(&instance)).unwrap_err();
        problems
            .0
            .iter()
            .any(|problem| problem.name == "WECHAT_SECRETS")
    };
    assert!(needed("on") && !needed("off") && !needed(""));
    let env = Env::new([
        ("CONTENT_CHECK", "yes"),
        ("CONTENT_CHECK_ON_FAILURE", "maybe"),
    ]);
    let instance = Instance::new(env, Clock::System, Random::System);
    let refused = instance
        .app(user_info::routes(&instance))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("CONTENT_CHECK: can't be read; wanted: on or off"),
        "{refused}"
    );
    assert!(
        refused.contains("CONTENT_CHECK_ON_FAILURE: can't be read; wanted: refuse or allow"),
        "{refused}"
    );
}
