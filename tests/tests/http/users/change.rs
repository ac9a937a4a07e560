//! `GET` and `PUT /api/v1/users/{id}`

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{UnionId, UserChange};

use super::{NOBODY, root_and_alice};
use crate::dynamodb_faults::{Fault, Front};

const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

/// A change with `If-Match`.
async fn change_if(api: &Api, root: &Tokens, id: &str, tag: &str, body: &Value) -> Answer {
    let request = api.request("PUT", &format!("/api/v1/users/{id}"));
    let request = request.bearer(&root.access).header("if-match", tag);
    request.json(body).send().await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_shown_with_mini_programs_and_sessions(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let union = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", union).unwrap();
    let (root, alice) = root_and_alice(&app).await;
    let other = app.code_in(OTHER_APP_ID, "alice");
    app.api.login_in(OTHER_APP_ID, &other).await.ok(200);
    let shown = app.api.user(&root.access, &alice.user_id()).await;
    let user = json!({
        "id": alice.user_id(), "nickname": null, "avatarUrl": null, "gender": null, "phone": null, "role": "user",
        "status": "active", "createdAt": "2026-11-23T08:00:00.123Z", "updatedAt": "2026-11-23T08:00:00.123Z",
        "version": 1, "identities": [{"appId": APP_ID}, {"appId": OTHER_APP_ID}], "sessions": 2, "sagas": [],
    });
    assert_eq!(shown.ok(200), &user);
    assert_eq!(shown.header("etag"), Some("\"1\""));
    assert_eq!(shown.header("cache-control"), Some("no-store"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_can_be_changed_and_cleared(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    // Cached before the change.
    app.api.info(&alice.access).await.ok(200);
    app.clock.advance_seconds(60);
    let body = json!({
        "nickname": "小明", "avatarUrl": AVATAR, "gender": 2, "role": "admin", "status": "active", "version": 1,
    });
    let log = capture();
    let changed = app.api.change_user(&root.access, &id, &body).await;
    let user = json!({
        "id": id, "nickname": "小明", "avatarUrl": AVATAR, "gender": 2, "phone": null, "role": "admin",
        "status": "active", "createdAt": "2026-11-23T08:00:00.123Z", "updatedAt": "2026-11-23T08:01:00.123Z",
        "version": 2,
    });
    assert_eq!(changed.ok(200), &user);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assert_eq!(app.api.info(&alice.access).await.ok(200), &user);
    // An administrator now.
    app.api.users(&alice.access, "").await.ok(200);
    let cleared = json!({"nickname": null, "avatarUrl": null, "gender": null, "version": 2});
    let cleared = app.api.change_user(&root.access, &id, &cleared).await;
    let user = cleared.ok(200);
    assert_eq!(
        [
            &user["nickname"],
            &user["avatarUrl"],
            &user["gender"],
            &user["role"]
        ],
        [&Value::Null, &Value::Null, &Value::Null, &json!("admin")]
    );
    assert_eq!(app.api.info(&alice.access).await.ok(200), user);

    let audit = log.logs().json_where("audit", &"user_changed".into());
    let lines: Vec<_> = audit.iter().filter(|line| line["user_id"] == id).collect();
    let facts: Vec<_> = lines
        .iter()
        .map(|line| (&line["administrator_id"], &line["fields"], &line["version"]))
        .collect();
    let by = json!(root.user_id());
    assert_eq!(
        facts,
        [
            (
                &by,
                &json!("nickname,avatarUrl,gender,role,status"),
                &json!(2)
            ),
            (&by, &json!("nickname,avatarUrl,gender"), &json!(3)),
        ]
    );
    assert!(!format!("{lines:?}").contains("小明"), "{lines:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_for_one_version(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    let name = |name: &str| json!({"nickname": name});
    let changed = change_if(&app.api, &root, &id, "\"1\"", &name("first")).await;
    assert_eq!(
        (&changed.ok(200)["version"], changed.header("etag")),
        (&json!(2), Some("\"2\""))
    );
    let before = app.rows().await;
    let stale = json!({"nickname": "second", "version": 1});
    app.api
        .change_user(&root.access, &id, &stale)
        .await
        .fails(409, "conflict");
    change_if(&app.api, &root, &id, "\"1\"", &name("second"))
        .await
        .fails(412, "version_mismatch");
    change_if(&app.api, &root, &id, "\"3\"", &name("second"))
        .await
        .fails(412, "version_mismatch");
    app.api
        .change_user(&root.access, &id, &name("second"))
        .await
        .fails_at(&["version"]);
    change_if(&app.api, &root, &id, "\"2\"", &stale)
        .await
        .fails_at(&["version"]);
    for tag in ["2", "*", "W/\"2\"", "\"2\", \"3\"", ""] {
        change_if(&app.api, &root, &id, tag, &name("second"))
            .await
            .fails_at(&["If-Match"]);
    }
    assert!(app.rows().await == before, "rows were written");
    let both = json!({"nickname": "second", "version": 2});
    change_if(&app.api, &root, &id, "\"2\"", &both)
        .await
        .ok(200);
}

/// After a lost answer the client sends the same request again.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_made_already_succeeds_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    let body = json!({"nickname": "小明", "version": 1});
    let first = app.api.change_user(&root.access, &id, &body).await;
    let rows = app.rows().await;
    let again = app.api.change_user(&root.access, &id, &body).await;
    assert_eq!(
        (again.ok(200), again.header("etag")),
        (first.ok(200), Some("\"2\""))
    );
    assert!(app.rows().await == rows);
    // Not once somebody has gone on from there.
    let next = json!({"gender": 1, "version": 2});
    app.api.change_user(&root.access, &id, &next).await.ok(200);
    app.api
        .change_user(&root.access, &id, &body)
        .await
        .fails(409, "conflict");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_changes_of_one_version_one_is_made(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    for version in 1..=5 {
        let bodies: Vec<_> = (0..8)
            .map(|number| json!({"nickname": format!("number {number}"), "version": version}))
            .collect();
        let changes = bodies
            .iter()
            .map(|body| app.api.change_user(&root.access, &id, body));
        let answers = join_all(changes).await;
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(made.len(), 1, "{answers:?}");
        for answer in refused {
            answer.fails(409, "conflict");
        }
        let user = app.api.user(&root.access, &id).await;
        assert_eq!(user.ok(200)["nickname"], made[0].data()["nickname"]);
        assert_eq!(user.data()["version"], version + 1);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_changes_are_refused_and_change_nothing(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    let before = app.rows().await;
    for (body, fields) in [
        (json!({"version": 1}), &[""][..]),
        (
            json!({"version": 1, "nickname": "x", "avatarUrl": "http://a.cn", "gender": 3}),
            &["avatarUrl", "gender", "nickname"],
        ),
        (
            json!({"version": 1, "role": "root", "status": "gone"}),
            &["role", "status"],
        ),
        (json!({"version": 1, "role": null}), &["role"]),
        (json!({"version": 1, "status": null}), &["status"]),
        (json!({"version": null, "gender": 1}), &["version"]),
        (json!({"version": "1", "gender": 1}), &["version"]),
        (json!({"version": -1, "gender": 1}), &["version"]),
        (json!({"version": 1.5, "gender": 1}), &["version"]),
        (json!({"version": 1, "phone": "13800138000"}), &["phone"]),
        (json!({"version": 1, "id": NOBODY}), &["id"]),
    ] {
        app.api
            .change_user(&root.access, &id, &body)
            .await
            .fails_at(fields);
    }
    let huge = json!({"version": u64::MAX, "gender": 1});
    app.api
        .change_user(&root.access, &id, &huge)
        .await
        .fails(409, "conflict");
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabling_a_user_ends_every_session_within_the_request(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let second = app.log_in("alice").await;
    let id = alice.user_id();
    app.api.info(&alice.access).await.ok(200);
    let disabled = json!({"status": "disabled", "version": 1});
    let disabled = app.api.change_user(&root.access, &id, &disabled).await;
    assert_eq!(disabled.ok(200)["status"], "disabled");
    for tokens in [&alice, &second] {
        app.api
            .sessions(&tokens.access)
            .await
            .fails(401, "session_revoked");
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
        let refreshed = app.api.refresh(&tokens.refresh).await;
        assert!([401, 403].contains(&refreshed.status), "{refreshed:?}");
    }
    assert_eq!(app.api.user(&root.access, &id).await.ok(200)["sessions"], 0);
    app.api
        .login(&app.code("alice"))
        .await
        .fails(403, "user_disabled");
    let enabled = json!({"status": "active", "version": 2});
    app.api
        .change_user(&root.access, &id, &enabled)
        .await
        .ok(200);
    // The sessions stay ended.
    app.api
        .info(&alice.access)
        .await
        .fails(401, "session_revoked");
    assert_eq!(app.log_in("alice").await.user_id(), id);
}

/// As a login leaves one that read the profile before the user was disabled.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_outlived_the_disabling_ends_before_the_user_is_enabled(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    app.disable(&id).await;
    let user = app.api.user(&root.access, &id).await;
    assert_eq!(user.ok(200)["sessions"], 1);
    let enabled = json!({"status": "active", "version": 1});
    app.api
        .change_user(&root.access, &id, &enabled)
        .await
        .ok(200);
    app.api
        .info(&alice.access)
        .await
        .fails(401, "session_revoked");
    // A user who is active keeps theirs.
    let alice = app.log_in("alice").await;
    let named = json!({"status": "active", "nickname": "小明", "version": 2});
    app.api.change_user(&root.access, &id, &named).await.ok(200);
    app.api.info(&alice.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_sessions_could_not_be_ended_is_disabled_and_the_request_can_be_repeated(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    front.breaks_only("revokedAt", "UpdateItem", Fault::Fails);
    let body = json!({"status": "disabled", "version": 1});
    api.change_user(&root.access, &id, &body)
        .await
        .fails(503, "unavailable");
    front.heal();
    let user = api.user(&root.access, &id).await;
    assert_eq!(
        [
            &user.ok(200)["status"],
            &user.data()["sessions"],
            &user.data()["version"]
        ],
        [&json!("disabled"), &json!(1), &json!(2)]
    );
    // The very same request.
    let repeated = api.change_user(&root.access, &id, &body).await;
    assert_eq!(repeated.ok(200)["version"], 2);
    assert_eq!(api.user(&root.access, &id).await.ok(200)["sessions"], 0);
    api.sessions(&alice.access)
        .await
        .fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_cannot_take_away_their_own_rights(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = root.user_id();
    let before = app.rows().await;
    for body in [
        json!({"status": "disabled", "version": 1}),
        json!({"role": "user", "version": 1}),
        json!({"role": "user", "nickname": "小明", "version": 1}),
    ] {
        app.api
            .change_user(&root.access, &id, &body)
            .await
            .fails(403, "own_rights");
    }
    assert!(app.rows().await == before, "rows were written");
    // Everything else they may change.
    let body = json!({"nickname": "小明", "role": "admin", "status": "active", "version": 1});
    app.api.change_user(&root.access, &id, &body).await.ok(200);
    // One who is named by ADMINS has no role to give up.
    let named = [("ADMINS", alice.user_id())];
    let api = app
        .another_instance_with(&named.each_ref().map(|(name, id)| (*name, id.as_str())))
        .await;
    let body = json!({"role": "user", "version": 1});
    api.change_user(&alice.access, &alice.user_id(), &body)
        .await
        .ok(200);
    let body = json!({"status": "disabled", "version": 2});
    api.change_user(&alice.access, &alice.user_id(), &body)
        .await
        .fails(403, "own_rights");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_administrators_who_demote_each_other_one_remains(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for round in 0..10 {
        let change = if round % 2 == 0 {
            json!({"role": "user"})
        } else {
            json!({"status": "disabled"})
        };
        let root = app.administrator(&format!("root{round}")).await;
        let boss = app.administrator(&format!("boss{round}")).await;
        let (to_boss, to_root) = (boss.user_id(), root.user_id());
        let (one, other) = futures_util::join!(
            change_if(&app.api, &root, &to_boss, "\"1\"", &change),
            change_if(&app.api, &boss, &to_root, "\"1\"", &change)
        );
        let rows = app.rows().await;
        let is_administrator = |tokens: &&Tokens| {
            let row = &rows[&(format!("USER#{}", tokens.user_id()), "PROFILE".to_owned())];
            row["role"].as_s().unwrap() == "admin" && row["status"].as_s().unwrap() == "active"
        };
        let left = [&root, &boss].into_iter().filter(is_administrator).count();
        assert_eq!(left, 1, "round {round}: {one:?} {other:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dynamodb_is_down_nothing_is_changed(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    let before = app.rows().await;
    let demoted = json!({"role": "user", "version": 1});
    front.breaks("TransactWriteItems", Fault::Cancelled, usize::MAX);
    let answer = api.change_user(&root.access, &id, &demoted).await;
    answer.fails(503, "unavailable");
    front.breaks("UpdateItem", Fault::Throttled, usize::MAX);
    let named = json!({"nickname": "小明", "version": 1});
    api.change_user(&root.access, &id, &named)
        .await
        .fails(503, "unavailable");
    // The row of the caller can't be read: refused, whatever is cached.
    front.breaks("GetItem", Fault::Fails, usize::MAX);
    api.users(&root.access, "").await.fails(503, "unavailable");
    front.heal();
    assert!(app.rows().await == before, "rows were written");
    // A lost answer is no lost change.
    front.breaks("UpdateItem", Fault::Lost, 1);
    let changed = api.change_user(&root.access, &id, &named).await;
    assert_eq!(changed.ok(200)["version"], 2);
}
