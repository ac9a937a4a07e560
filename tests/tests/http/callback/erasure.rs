//! Revoked data and cancelled accounts are erased.

use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
    wire_proxy,
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, instance::Instance, random::Random, saga::Progress};
use wechat_simulator::{PushOrder, UnionId, UserChange};

use super::pushes::{deliver, event, every_way, only_encrypt, refusal, secure_request, xml};
use crate::dynamodb_faults::Front;

const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

/// Alice with every profile field set.
async fn alice(app: &TestApp) -> Tokens {
    let tokens = app.log_in("alice").await;
    fill(app, &tokens).await;
    tokens
}

async fn fill(app: &TestApp, tokens: &Tokens) {
    let body = json!({"nickname": "小明", "avatarUrl": AVATAR, "gender": 2});
    app.api.change(&tokens.access, &body).await.ok(200);
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&format!("USER#{}", tokens.user_id())))
        .key("sk", text("PROFILE"));
    let update = update
        .update_expression("SET phone = :phone")
        .expression_attribute_values(":phone", text("13800138000"));
    update.send().await.unwrap();
    app.evict_profile(&tokens.user_id()).await;
}

async fn push(app: &TestApp, order: &PushOrder) {
    deliver(&app.api, &app.wechat.push(order).unwrap())
        .await
        .assert_success();
}

fn revoked(number: &str) -> PushOrder {
    event("user_authorization_revoke", json!({"RevokeInfo": number}))
}

fn cancelled() -> PushOrder {
    event("user_authorization_cancellation", json!({}))
}

/// The fields that are set.
fn held(user: &Value) -> Vec<&'static str> {
    ["nickname", "avatarUrl", "gender", "phone"]
        .into_iter()
        .filter(|field| !user[field].is_null())
        .collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_grant_clears_its_fields(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    let cases: [(&str, &[&str]); 4] = [
        ("6", &["phone"]),
        ("8", &["nickname", "avatarUrl", "gender"]),
        ("19", &["avatarUrl", "gender", "phone"]),
        ("20", &["nickname", "gender", "phone"]),
    ];
    for (number, left) in cases {
        fill(&app, &tokens).await;
        app.api.info(&tokens.access).await.ok(200);
        app.clock.advance_seconds(1);
        push(&app, &revoked(number)).await;
        // Immediately, despite caches.
        let info = app.api.info(&tokens.access).await;
        assert_eq!(held(info.ok(200)), left, "{number}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blanks_around_the_values_of_a_revocation_are_layout(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();
    for message in [
        format!(
            "<xml>\n  <MsgType>\n    <![CDATA[event]]>\n  </MsgType>\n  <Event>\n    <![CDATA[user_authorization_revoke]]>\n  </Event>\n  <OpenID>\n    <![CDATA[{open_id}]]>\n  </OpenID>\n  <CreateTime>1</CreateTime>\n  <RevokeInfo>\n    <![CDATA[6]]>\n  </RevokeInfo>\n</xml>"
        ),
        format!(
            "<xml><MsgType> event </MsgType><Event>user_authorization_revoke</Event><OpenID>{open_id}</OpenID><CreateTime>2</CreateTime><RevokeInfo>6</RevokeInfo></xml>"
        ),
        format!(
            "{{\"MsgType\":\"event\",\"Event\":\" user_authorization_revoke\",\"OpenID\":\"{open_id} \",\"RevokeInfo\":\"6\",\"CreateTime\":3,\"x\":\"\u{1b}\"}}"
        ),
    ] {
        fill(&app, &tokens).await;
        let request = secure_request(&app, &message, only_encrypt);
        deliver(&app.api, &request).await.assert_success();
        let info = app.api.info(&tokens.access).await;
        assert_eq!(held(info.ok(200)), ["phone"], "{message}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_grant_without_stored_fields_changes_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    let before = app.rows().await;
    for number in ["1", "5", "13", "999"] {
        push(&app, &revoked(number)).await;
    }
    assert_eq!(app.rows().await, before);
    // Fields that are already clear are not written again.
    push(&app, &revoked("8")).await;
    let before = app.rows().await;
    app.clock.advance_seconds(1);
    push(&app, &revoked("8")).await;
    assert_eq!(app.rows().await, before);
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_phone_number_can_be_bound_by_another_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for person in ["alice", "bob"] {
        let change = UserChange {
            phone: Some("13900139000".into()),
            ..UserChange::default()
        };
        app.wechat.change_user(person, change).unwrap();
    }
    let bind = async |person: &str, tokens: &Tokens| {
        app.api
            .bind_phone(
                &tokens.access,
                &app.wechat.phone_code(person, Some(APP_ID)).unwrap(),
            )
            .await
    };
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for order in [revoked("8"), cancelled()] {
        let alice = if order == revoked("8") {
            alice.clone()
        } else {
            app.log_in("alice").await
        };
        bind("alice", &alice).await.ok(200);
        bind("bob", &bob).await.fails(409, "phone_taken");
        push(&app, &order).await;
        assert_eq!(app.count("OWNER").await, 0);
        let rows = app.rows().await;
        let profile = rows.get(&(format!("USER#{}", alice.user_id()), "PROFILE".to_owned()));
        for number in ["phone", "phoneClaim"] {
            let is_left = profile.is_some_and(|row| row.contains_key(number));
            assert!(!is_left, "{number}: {profile:?}");
        }
    }
    bind("bob", &bob).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_flagged_as_risky_is_cleared(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    push(&app, &event("user_info_modified", json!({}))).await;
    assert_eq!(
        held(app.api.info(&tokens.access).await.ok(200)),
        ["gender", "phone"]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_account_is_erased(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (tokens, bob) = (alice(&app).await, app.log_in("bob").await);
    let second = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    push(&app, &cancelled()).await;
    for tokens in [&tokens, &second] {
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
        app.api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "refresh_invalid");
    }
    let open_id = app.wechat.open_id("alice", None).unwrap();
    let rows = format!("{:?}", app.rows().await);
    for gone in [open_id, tokens.user_id(), "小明".to_owned()] {
        assert!(!rows.contains(&gone), "{gone} is still stored: {rows}");
    }
    app.api.info(&bob.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_after_cancellation_creates_a_new_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    let order = app.wechat.push(&cancelled()).unwrap();
    deliver(&app.api, &order).await.assert_success();
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    let again = Tokens::of(&again);
    assert_ne!(again.user_id(), tokens.user_id());
    // A late copy of the event does not reach the new user.
    deliver(&app.api, &order).await.assert_success();
    app.api.info(&again.access).await.ok(200);
}

fn has_union_id(app: &TestApp) {
    app.wechat
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
async fn a_cancellation_keeps_identities_of_other_mini_programs(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_union_id(&app);
    let here = alice(&app).await;
    let there = Tokens::of(
        &app.api
            .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
            .await,
    );
    assert_eq!(here.user_id(), there.user_id());
    push(&app, &cancelled()).await;
    assert_eq!(
        app.count("IDENTITY").await,
        2,
        "the other identity and the link"
    );
    let user = app
        .table
        .item(&format!("USER#{}", here.user_id()), "PROFILE")
        .await
        .unwrap();
    assert_eq!(user["identities"].as_ss().unwrap().len(), 1);
    let again = Tokens::of(
        &app.api
            .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
            .await,
    );
    assert_eq!(again.user_id(), here.user_id());
    assert_eq!(
        held(app.api.info(&again.access).await.ok(200)),
        Vec::<&str>::new()
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_the_last_identity_removes_the_union_id_link(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_union_id(&app);
    alice(&app).await;
    push(&app, &cancelled()).await;
    assert_eq!(app.count("IDENTITY").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_works_in_every_mode_and_format(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for (way, order) in every_way(&revoked("19")) {
        let app_id = order.app_id.as_deref().unwrap_or(APP_ID).to_owned();
        let tokens = Tokens::of(
            &app.api
                .login_in(&app_id, &app.code_in(&app_id, "alice"))
                .await,
        );
        app.api
            .change(&tokens.access, &json!({"nickname": "小明"}))
            .await
            .ok(200);
        app.clock.advance_seconds(1);
        push(&app, &order).await;
        assert_eq!(
            app.api.info(&tokens.access).await.ok(200)["nickname"],
            Value::Null,
            "{way}"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_about_an_unknown_user_changes_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = alice(&app).await;
    let before = app.rows().await;
    for mut order in [
        revoked("6"),
        cancelled(),
        xml(cancelled()),
        event("user_info_modified", json!({})),
    ] {
        order.user = "nobody".into();
        push(&app, &order).await;
        // Alice's openid is unknown in the other mini-program.
        let open_id = app.wechat.open_id("alice", None).unwrap();
        order.fields.insert("OpenID".into(), json!(open_id));
        order.app_id = Some(OTHER_APP_ID.into());
        push(&app, &order).await;
    }
    assert_eq!(app.rows().await, before);
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_completes_a_failed_erasure(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state).proxied().start().await;
    let tokens = alice(&app).await;
    let push = app.wechat.push(&cancelled()).unwrap();
    app.proxies().dynamodb.set(wire_proxy::Fault::Refuse).await;
    app.proxies().dynamodb.reset();
    refusal(&app.api, &push).await.fails(503, "unavailable");
    app.proxies().dynamodb.heal().await;
    app.proxies().dynamodb.reset();
    deliver(&app.api, &push).await.assert_success();
    app.api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    assert_eq!(app.count("IDENTITY").await, 0);
}

/// The same event about Alice's identity in the other mini-program.
fn cancelled_there() -> PushOrder {
    PushOrder {
        app_id: Some(OTHER_APP_ID.into()),
        ..cancelled()
    }
}

async fn log_in_there(app: &TestApp) -> Tokens {
    let code = app.code_in(OTHER_APP_ID, "alice");
    Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await)
}

/// Alice is two users: her union id appeared in one mini-program when she was known in the other one
/// without it.
async fn two_users(app: &TestApp) -> (Tokens, Tokens) {
    let here = app.log_in("alice").await;
    has_union_id(app);
    let there = log_in_there(app).await;
    let here_again = app.log_in("alice").await;
    assert_eq!(here_again.user_id(), here.user_id());
    assert_ne!(there.user_id(), here.user_id());
    (here_again, there)
}

/// Takes away what versions before this one did not record.
async fn forget_whether_linked(app: &TestApp) {
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    for row in app.table.items_under("WX#").await {
        let update = app.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", row["pk"].clone())
            .key("sk", text("IDENTITY"));
        let update = update.update_expression("REMOVE unionLinked");
        update.send().await.unwrap();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_union_id_is_linked_to_another_user_is_erased(
    #[values(InProcess, Redis)] state: SharedState,
    #[values(false, true)] from_an_earlier_version: bool,
) {
    let app = TestApp::start(state).await;
    let (here, there) = two_users(&app).await;
    if from_an_earlier_version {
        forget_whether_linked(&app).await;
    }
    push(&app, &cancelled()).await;
    app.api
        .info(&here.access)
        .await
        .fails(401, "session_revoked");
    let open_id = app.wechat.open_id("alice", None).unwrap();
    let rows = format!("{:?}", app.rows().await);
    assert!(!rows.contains(&open_id), "the openid is still stored");
    // The other user keeps identity and link.
    assert_eq!(app.count("IDENTITY").await, 2);
    app.api.info(&there.access).await.ok(200);
    push(&app, &cancelled_there()).await;
    assert_eq!(app.count("IDENTITY").await, 0);
}

/// Alice's older identity says that the link is another user's, until a merge makes it hers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_came_with_a_merge_goes_with_the_account() {
    let app = TestApp::start(Redis).await;
    let (here, there) = two_users(&app).await;
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    let id = |tokens: &Tokens| tokens.user_id().parse().unwrap();
    let merge = instance.account_merge();
    let progress = merge.begin(id(&there), id(&here), None).await.unwrap();
    assert_eq!(progress, Progress::Done);
    // The identity that the link was made with goes; the other one has the union id too.
    push(&app, &cancelled_there()).await;
    let link = app.table.items_under("UNION#").await.remove(0);
    assert_eq!(*link["uid"].as_s().unwrap(), here.user_id());
    let again = app.log_in("alice").await;
    assert_eq!(again.user_id(), here.user_id());
    app.api.delete_account(&again.access).await.ok(200);
    assert_eq!(app.count("UNION#").await, 0);
    assert_eq!(app.count("IDENTITY").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancellations_in_two_mini_programs_at_once_leave_no_union_link(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_union_id(&app);
    alice(&app).await;
    log_in_there(&app).await;
    assert_eq!(app.count("IDENTITY").await, 3);
    let (front, api) = Front::of(&app).await;
    let hold = front.hold("TransactWriteItems");
    let order = app.wechat.push(&cancelled()).unwrap();
    let other = async {
        // The first one has read that there is another identity.
        hold.arrived().await;
        push(&app, &cancelled_there()).await;
        drop(hold);
    };
    let (first, ()) = futures_util::join!(deliver(&api, &order), other);
    first.assert_success();
    assert_eq!(app.count("IDENTITY").await, 0);
    assert_eq!(
        app.count("PROFILE").await,
        0,
        "nobody is left whom it is of"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_by_union_id_during_a_cancellation_is_never_of_that_account() {
    let app = TestApp::start(Redis).await;
    has_union_id(&app);
    let here = alice(&app).await;
    let (front, api) = Front::of(&app).await;
    let hold = front.hold_only("WX#", "TransactWriteItems");
    let order = app.wechat.push(&cancelled()).unwrap();
    let login = async {
        // The cancellation has read that this is the last identity, and closed the account.
        hold.arrived().await;
        let code = app.code_in(OTHER_APP_ID, "alice");
        let release = async {
            // The login has read whose the union id is.
            hold.arrived().await;
            drop(hold);
        };
        let (answer, ()) = futures_util::join!(api.login_in(OTHER_APP_ID, &code), release);
        answer
    };
    let (first, there) = futures_util::join!(deliver(&api, &order), login);
    first.assert_success();
    assert_ne!(Tokens::of(&there).user_id(), here.user_id());
    let partition = format!("USER#{}", here.user_id());
    assert!(app.table.partition(&partition).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_during_a_cancellation_leaves_no_union_link() {
    let app = TestApp::start(Redis).await;
    alice(&app).await;
    let (front, api) = Front::of(&app).await;
    let hold = front.hold_only("WX#", "TransactWriteItems");
    let order = app.wechat.push(&cancelled()).unwrap();
    let login = async {
        // The cancellation has read an identity without a union id.
        hold.arrived().await;
        has_union_id(&app);
        let refused = app.api.login(&app.code("alice")).await;
        refused.fails(503, "unavailable");
        drop(hold);
    };
    let (first, ()) = futures_util::join!(deliver(&api, &order), login);
    first.assert_success();
    assert_eq!(app.count("IDENTITY").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_another_user_has_does_not_prevent_an_erasure(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (tokens, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let code = app.wechat.phone_code("alice", Some(APP_ID)).unwrap();
    app.api.bind_phone(&tokens.access, &code).await.ok(200);
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let row = app.table.items_under("PHONE#").await.remove(0);
    let put = app.table.client().put_item().table_name(TABLE);
    let put = put.set_item(Some(row)).item("uid", text(&bob.user_id()));
    put.send().await.unwrap();
    push(&app, &cancelled()).await;
    let partition = format!("USER#{}", tokens.user_id());
    assert!(app.table.partition(&partition).await.is_empty());
    assert_eq!(app.count("OWNER").await, 1, "Bob's");
}

/// Its person has not logged in yet, so it has no session keys.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_that_was_moved_in_is_erased_too(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let administrator = app.administrator("root").await;
    let open_id = app.wechat.open_id("alice", None).unwrap();
    let person = json!({
        "nickname": "小明", "phone": "13900139000",
        "identities": [{"appId": APP_ID, "openId": open_id, "unionId": "u-alice"}],
    });
    let moved_in = app.api.move_in(&administrator.access, &person).await;
    let id = moved_in.ok(200)["id"].as_str().unwrap().to_owned();
    push(&app, &cancelled()).await;
    let rows = format!("{:?}", app.rows().await);
    for gone in [open_id.as_str(), "u-alice", "13900139000", "小明", "PHONE#"] {
        assert!(!rows.contains(gone), "{gone} is still stored");
    }
    let user = app.api.user(&administrator.access, &id).await;
    user.fails(404, "not_found");
}

/// As a merge leaves an account: two identities in one mini-program, with different union ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_leaves_an_identity_of_another_wechat_account() {
    let app = TestApp::start(Redis).await;
    for person in ["alice", "bob"] {
        let change = UserChange {
            union_id: Some(UnionId::Custom(format!("union-of-{person}"))),
            ..UserChange::default()
        };
        app.wechat.change_user(person, change).unwrap();
    }
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    let id = |tokens: &Tokens| tokens.user_id().parse().unwrap();
    let merge = instance.account_merge();
    let progress = merge.begin(id(&alice), id(&bob), None).await.unwrap();
    assert_eq!(progress, Progress::Done);
    push(&app, &cancelled()).await;
    app.api
        .info(&bob.access)
        .await
        .fails(401, "session_revoked");
    let rows = format!("{:?}", app.rows().await);
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();
    for gone in ["union-of-alice", &format!("WX#{APP_ID}#{open_id}")] {
        assert!(!rows.contains(gone), "{gone} is left in {rows}");
    }
    assert!(rows.contains("union-of-bob"), "{rows}");
    assert_eq!(app.log_in("bob").await.user_id(), bob.user_id());
    assert_ne!(app.log_in("alice").await.user_id(), bob.user_id());
}
