//! What users take back is deleted.

use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, OTHER_APP_ID},
    wire_proxy,
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{PushOrder, UnionId, UserChange};

use super::pushes::{deliver, event, every_way, refusal, world, xml};

const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

/// Alice, with all that a profile can hold.
async fn alice(world: &World) -> Tokens {
    let tokens = world.log_in("alice").await;
    fill(world, &tokens).await;
    tokens
}

async fn fill(world: &World, tokens: &Tokens) {
    let body = json!({"nickname": "小明", "avatarUrl": AVATAR, "gender": 2});
    world.api.change(&tokens.access, &body).await.ok(200);
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let update = world.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&format!("USER#{}", tokens.user_id())))
        .key("sk", text("PROFILE"));
    let update = update
        .update_expression("SET phone = :phone")
        .expression_attribute_values(":phone", text("13800138000"));
    update.send().await.unwrap();
    world.profile_leaves_the_cache(&tokens.user_id()).await;
}

async fn push(world: &World, order: &PushOrder) {
    deliver(&world.api, &world.wechat.push(order).unwrap())
        .await
        .is_success();
}

fn revoked(number: &str) -> PushOrder {
    event("user_authorization_revoke", json!({"RevokeInfo": number}))
}

fn cancelled() -> PushOrder {
    event("user_authorization_cancellation", json!({}))
}

/// Which of the four fields a user has.
fn held(user: &Value) -> Vec<&'static str> {
    ["nickname", "avatarUrl", "gender", "phone"]
        .into_iter()
        .filter(|field| !user[field].is_null())
        .collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_is_cleared_and_the_rest_stays(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let tokens = alice(&world).await;
    let cases: [(&str, &[&str]); 4] = [
        ("6", &["phone"]),
        ("8", &["nickname", "avatarUrl", "gender"]),
        ("19", &["avatarUrl", "gender", "phone"]),
        ("20", &["nickname", "gender", "phone"]),
    ];
    for (number, left) in cases {
        fill(&world, &tokens).await;
        world.api.info(&tokens.access).await.ok(200);
        world.clock.advance_seconds(1);
        push(&world, &revoked(number)).await;
        // At once, whatever was cached.
        let info = world.api.info(&tokens.access).await;
        assert_eq!(held(info.ok(200)), left, "{number}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_of_what_is_not_stored_changes_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let tokens = alice(&world).await;
    let before = world.rows().await;
    for number in ["1", "5", "13", "999", "", "nonsense"] {
        push(&world, &revoked(number)).await;
    }
    assert_eq!(world.rows().await, before);
    // And what was cleared already is not written again.
    push(&world, &revoked("8")).await;
    let before = world.rows().await;
    world.clock.advance_seconds(1);
    push(&world, &revoked("8")).await;
    assert_eq!(world.rows().await, before);
    world.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_is_taken_back_is_free_for_others(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    for person in ["alice", "bob"] {
        let change = UserChange {
            phone: Some("13900139000".into()),
            ..UserChange::default()
        };
        world.wechat.change_user(person, change).unwrap();
    }
    let bind = async |person: &str, tokens: &Tokens| {
        world
            .api
            .bind_phone(
                &tokens.access,
                &world.wechat.phone_code(person, Some(APP_ID)).unwrap(),
            )
            .await
    };
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    for order in [revoked("8"), cancelled()] {
        let alice = if order == revoked("8") {
            alice.clone()
        } else {
            world.log_in("alice").await
        };
        bind("alice", &alice).await.ok(200);
        bind("bob", &bob).await.fails(409, "phone_taken");
        push(&world, &order).await;
        assert_eq!(world.count("OWNER").await, 0);
        let rows = world.rows().await;
        let row = &rows[&(format!("USER#{}", alice.user_id()), "PROFILE".to_owned())];
        assert!(
            !row.contains_key("phone") && !row.contains_key("phoneClaim"),
            "{row:?}"
        );
    }
    bind("bob", &bob).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_wechat_holds_for_a_risk_is_cleared(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let tokens = alice(&world).await;
    push(&world, &event("user_info_modified", json!({}))).await;
    assert_eq!(
        held(world.api.info(&tokens.access).await.ok(200)),
        ["gender", "phone"]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_account_is_forgotten(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let (tokens, bob) = (alice(&world).await, world.log_in("bob").await);
    let second = world.log_in("alice").await;
    world.api.info(&tokens.access).await.ok(200);
    push(&world, &cancelled()).await;
    for tokens in [&tokens, &second] {
        world
            .api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
        world
            .api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "session_revoked");
    }
    let open_id = world.wechat.open_id("alice", None).unwrap();
    assert!(
        world
            .table
            .item(&format!("WX#{APP_ID}#{open_id}"), "IDENTITY")
            .await
            .is_none()
    );
    let user = world
        .table
        .item(&format!("USER#{}", tokens.user_id()), "PROFILE")
        .await
        .unwrap();
    for gone in ["nickname", "avatarUrl", "gender", "phone", "identities"] {
        assert!(!user.contains_key(gone), "{gone}");
    }
    assert!(
        !format!("{:?}", world.rows().await).contains(&open_id),
        "the openid still stands somewhere"
    );
    world.api.info(&bob.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_account_comes_back_as_somebody_new(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let tokens = alice(&world).await;
    let order = world.wechat.push(&cancelled()).unwrap();
    deliver(&world.api, &order).await.is_success();
    let again = world.api.login(&world.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    let again = Tokens::of(&again);
    assert_ne!(again.user_id(), tokens.user_id());
    // A late copy of the event does not reach the new user.
    deliver(&world.api, &order).await.is_success();
    world.api.info(&again.access).await.ok(200);
}

fn has_union_id(world: &World) {
    world
        .wechat
        .change_user(
            "alice",
            UserChange {
                union_id: Some(UnionId::Derived),
                ..UserChange::default()
            },
        )
        .unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_account_leaves_other_mini_programs_their_identity(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    has_union_id(&world);
    let here = alice(&world).await;
    let there = Tokens::of(
        &world
            .api
            .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
            .await,
    );
    assert_eq!(here.user_id(), there.user_id());
    push(&world, &cancelled()).await;
    assert_eq!(
        world.count("IDENTITY").await,
        2,
        "the other identity and the link"
    );
    let user = world
        .table
        .item(&format!("USER#{}", here.user_id()), "PROFILE")
        .await
        .unwrap();
    assert_eq!(user["identities"].as_ss().unwrap().len(), 1);
    let again = Tokens::of(
        &world
            .api
            .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
            .await,
    );
    assert_eq!(again.user_id(), here.user_id());
    assert_eq!(
        held(world.api.info(&again.access).await.ok(200)),
        Vec::<&str>::new()
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_cancelled_identity_takes_the_union_link_along(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    has_union_id(&world);
    alice(&world).await;
    push(&world, &cancelled()).await;
    assert_eq!(world.count("IDENTITY").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_in_every_mode_and_form(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    for (way, order) in every_way(&revoked("19")) {
        let app_id = order.app_id.as_deref().unwrap_or(APP_ID).to_owned();
        let tokens = Tokens::of(
            &world
                .api
                .login_in(&app_id, &world.code_in(&app_id, "alice"))
                .await,
        );
        world
            .api
            .change(&tokens.access, &json!({"nickname": "小明"}))
            .await
            .ok(200);
        world.clock.advance_seconds(1);
        push(&world, &order).await;
        assert_eq!(
            world.api.info(&tokens.access).await.ok(200)["nickname"],
            Value::Null,
            "{way}"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_nobody_to_forget(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let tokens = alice(&world).await;
    let before = world.rows().await;
    for mut order in [
        revoked("6"),
        cancelled(),
        xml(cancelled()),
        event("user_info_modified", json!({})),
    ] {
        order.user = "nobody".into();
        push(&world, &order).await;
        // Alice's openid belongs to one mini-program; in another it is nobody's.
        let open_id = world.wechat.open_id("alice", None).unwrap();
        order.fields.insert("OpenID".into(), json!(open_id));
        order.app_id = Some(OTHER_APP_ID.into());
        push(&world, &order).await;
        // Nor is anybody meant by what is no openid.
        order.app_id = None;
        order.fields.insert("OpenID".into(), json!("a#b"));
        push(&world, &order).await;
    }
    assert_eq!(world.rows().await, before);
    world.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_failed_half_way_is_finished_by_the_next(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::with(state).own_redis().proxied().start().await;
    let tokens = alice(&world).await;
    let push = world.wechat.push(&cancelled()).unwrap();
    world
        .proxies()
        .dynamodb
        .set(wire_proxy::Fault::Refuse)
        .await;
    world.proxies().dynamodb.reset();
    refusal(&world.api, &push).await.fails(503, "unavailable");
    world.proxies().dynamodb.heal().await;
    world.proxies().dynamodb.reset();
    deliver(&world.api, &push).await.is_success();
    world
        .api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    assert_eq!(world.count("IDENTITY").await, 0);
}
