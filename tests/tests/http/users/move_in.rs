//! `POST /api/v1/users`: people from another backend.

use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{DataKind, UnionId, UserChange};

use super::person;
use crate::dynamodb_faults::{Fault, Front};

const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

/// Alice with all that another backend can know of her.
fn alice(app: &TestApp) -> Value {
    let identity = |app_id: &str| {
        let open_id = app.wechat.open_id("alice", Some(app_id)).unwrap();
        json!({"appId": app_id, "openId": open_id, "unionId": "u-alice"})
    };
    json!({
        "nickname": "小明", "avatarUrl": AVATAR, "gender": 2, "phone": "+8613900139000",
        "identities": [identity(APP_ID), identity(OTHER_APP_ID)],
    })
}

/// The conflicts of an answer: field and user.
fn conflicts(answer: &e2e::http::Answer) -> Vec<(String, String)> {
    let conflicts = &answer.fails(409, "user_exists")["conflicts"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = conflicts.as_array().unwrap().iter();
    list.map(|conflict| (text(&conflict["field"]), text(&conflict["userId"])))
        .collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_was_moved_in_logs_in_as_that_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let log = capture();
    let moved_in = app.api.move_in(&root.access, &alice(&app)).await;
    let user = moved_in.ok(200).clone();
    let wanted = json!({
        "id": user["id"], "nickname": "小明", "avatarUrl": AVATAR, "gender": 2, "phone": "13900139000",
        "role": "user", "status": "active", "createdAt": "2026-11-23T08:00:00.123Z",
        "updatedAt": "2026-11-23T08:00:00.123Z", "version": 1,
    });
    assert_eq!(user, wanted);
    assert_eq!(moved_in.header("etag"), Some("\"1\""));
    // Three logins: the first without a stored key, the second with one, the third remembered.
    for (number, app_id) in [(1, APP_ID), (2, APP_ID), (3, APP_ID), (1, OTHER_APP_ID)] {
        let login = app
            .api
            .login_in(app_id, &app.code_in(app_id, "alice"))
            .await;
        assert_eq!(
            (&login.ok(200)["isNewUser"], &login.data()["user"]),
            (&json!(false), &user)
        );
        let row = app.identity_row(app_id, "alice").await;
        assert_eq!(row["loginCount"].as_n().unwrap(), &number.to_string());
        if app_id == APP_ID {
            let tokens = Tokens::of(&login);
            let data = json!(
                app.wechat
                    .encrypted_data("alice", DataKind::UserInfo, Some(APP_ID))
                    .unwrap()
            );
            app.api.decrypt(&tokens.access, &data).await.ok(200);
            app.api.reset_session_key(&tokens.access).await.ok(200);
        }
    }
    let audit = log.logs().json_where("audit", &"user_moved_in".into());
    let lines: Vec<_> = audit
        .iter()
        .filter(|line| line["user_id"] == user["id"])
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["administrator_id"], root.user_id());
    let text = format!("{lines:?}");
    for personal in ["小明", "139001", "u-alice", "qlogo"] {
        assert!(!text.contains(personal), "{text}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_with_an_openid_alone_is_enough(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();
    let body = json!({"identities": [{"appId": APP_ID, "openId": open_id}]});
    let user = app.api.move_in(&root.access, &body).await;
    assert_eq!(
        (&user.ok(200)["nickname"], &user.data()["phone"]),
        (&Value::Null, &Value::Null)
    );
    // WeChat names a union id for the first time: it is linked.
    let union = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", union).unwrap();
    assert_eq!(app.log_in("alice").await.user_id(), user.data()["id"]);
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(other.ok(200)["user"]["id"], user.data()["id"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_union_id_that_was_moved_in_leads_to_the_user_in_other_mini_programs(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let union = UserChange {
        union_id: Some(UnionId::Custom("u-of-alice".into())),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", union).unwrap();
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();
    let body =
        json!({"identities": [{"appId": APP_ID, "openId": open_id, "unionId": "u-of-alice"}]});
    let id = app.api.move_in(&root.access, &body).await.ok(200)["id"].clone();
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(
        (&other.ok(200)["isNewUser"], &other.data()["user"]["id"]),
        (&json!(false), &id)
    );
}

/// A session of the mini-program is there, but the key is not: the row was made anew meanwhile.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_session_key_data_is_answered_like_that_of_a_stale_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let row = app.identity_row(APP_ID, "alice").await;
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", row["pk"].clone())
        .key("sk", row["sk"].clone());
    let update =
        update.update_expression("REMOVE sessionKey, sessionKeyTag, lastLoginAt, loginCount");
    update.send().await.unwrap();
    let data = json!(
        app.wechat
            .encrypted_data("alice", DataKind::UserInfo, Some(APP_ID))
            .unwrap()
    );
    app.api
        .decrypt(&tokens.access, &data)
        .await
        .fails(409, "session_key_stale");
    app.api
        .reset_session_key(&tokens.access)
        .await
        .fails(409, "session_key_stale");
    let message = json!({"encryptedData": "p0XqAsTtvT1Fvl9QAAAAAA==", "version": 1});
    app.api
        .message(&tokens.access, &message)
        .await
        .fails(409, "session_key_stale");
    // A login, of which the last one is remembered, mends it.
    let again = app.log_in("alice").await;
    assert_eq!(again.user_id(), tokens.user_id());
    let data = json!(
        app.wechat
            .encrypted_data("alice", DataKind::UserInfo, Some(APP_ID))
            .unwrap()
    );
    app.api.decrypt(&again.access, &data).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_taken_is_named_with_its_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    // The openid is one user's, the union id another's, the number a third one's.
    let known = app.log_in("alice").await.user_id();
    let mut bob = person(&app, "bob");
    bob["identities"][0]["unionId"] = json!("u-alice");
    let bob = app.api.move_in(&root.access, &bob).await.ok(200)["id"].clone();
    let mut carol = person(&app, "carol");
    carol["phone"] = json!("13900139000");
    let carol = app.api.move_in(&root.access, &carol).await.ok(200)["id"].clone();
    let before = app.rows().await;
    let answer = app.api.move_in(&root.access, &alice(&app)).await;
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    let pair = |field: &str, user: String| (field.to_owned(), user);
    assert_eq!(
        conflicts(&answer),
        [
            pair("identities[0]", known),
            pair("identities[0].unionId", text(&bob)),
            pair("identities[1].unionId", text(&bob)),
            pair("phone", text(&carol)),
        ]
    );
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_is_moved_in_twice_is_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let alice = alice(&app);
    let answers = join_all((0..10).map(|_| app.api.move_in(&root.access, &alice))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(made.len(), 1, "{answers:?}");
    let id = made[0].data()["id"].as_str().unwrap();
    for answer in refused {
        let conflicts = conflicts(answer);
        assert_eq!(conflicts.len(), 5);
        assert!(
            conflicts.iter().all(|(_, user)| user == id),
            "{conflicts:?}"
        );
    }
    assert_eq!(app.count("PROFILE").await, 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_logs_in_while_being_moved_in_is_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    for round in 0..10 {
        let name = format!("person{round}");
        let (body, code) = (person(&app, &name), app.code(&name));
        let (moved_in, login) =
            futures_util::join!(app.api.move_in(&root.access, &body), app.api.login(&code));
        let user = login.ok(200)["user"]["id"].as_str().unwrap();
        if moved_in.status == 200 {
            assert_eq!(moved_in.data()["id"], user);
        } else {
            assert_eq!(
                conflicts(&moved_in),
                [("identities[0]".to_owned(), user.to_owned())]
            );
        }
        assert_eq!(app.count("PROFILE").await, 2 + round);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_people_are_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let identity = |app_id: &str, open_id: &str| json!({"appId": app_id, "openId": open_id});
    let many: Vec<_> = (0..21)
        .map(|number| identity(APP_ID, &format!("o{number}")))
        .collect();
    let good = identity(APP_ID, "o-1");
    let before = app.rows().await;
    for (body, fields) in [
        (json!({}), &["identities"][..]),
        (json!({"identities": []}), &["identities"]),
        (json!({"identities": null}), &["identities"]),
        (json!({"identities": many}), &["identities"]),
        // Which of the two would the person be in this mini-program?
        (
            json!({"identities": [good, identity(APP_ID, "o-2")]}),
            &["identities"],
        ),
        (
            json!({"identities": [good, identity("wx9999999999999999", "o-2")]}),
            &["identities[1].appId"],
        ),
        (
            json!({"identities": [identity(APP_ID, "a#b")]}),
            &["identities[0].openId"],
        ),
        (
            json!({"identities": [{"appId": APP_ID, "openId": "o", "unionId": ""}]}),
            &["identities[0].unionId"],
        ),
        (
            json!({"identities": [{"appId": APP_ID, "openId": "o", "unionId": null}]}),
            &["identities[0].unionId"],
        ),
        (json!({"identities": [{"appId": APP_ID}]}), &["openId"]),
        (
            json!({"identities": [{"appId": APP_ID, "openid": "o"}]}),
            &["openid"],
        ),
        (
            json!({"identities": [good], "nickname": null}),
            &["nickname"],
        ),
        (
            json!({"identities": [good], "phone": "1390013900"}),
            &["phone"],
        ),
        (json!({"identities": [good], "role": "admin"}), &["role"]),
        (
            json!({"identities": [identity("x", "")], "nickname": "x", "avatarUrl": "http://a.cn", "gender": 3, "phone": ""}),
            &[
                "avatarUrl",
                "gender",
                "identities[0].appId",
                "identities[0].openId",
                "nickname",
                "phone",
            ],
        ),
    ] {
        app.api.move_in(&root.access, &body).await.fails_at(fields);
    }
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_moved_in_as_a_whole_or_not_at_all(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (front, api) = Front::of(&app).await;
    let root = app.administrator("root").await;
    let before = app.rows().await;
    front.breaks("TransactWriteItems", Fault::Cancelled, usize::MAX);
    api.move_in(&root.access, &alice(&app))
        .await
        .fails(503, "unavailable");
    front.heal();
    assert!(app.rows().await == before, "rows were written");
    // A lost answer: sent again with the same token, it is written once.
    front.breaks("TransactWriteItems", Fault::Lost, 1);
    api.move_in(&root.access, &alice(&app)).await.ok(200);
    assert_eq!(app.count("PROFILE").await, 2);
}
