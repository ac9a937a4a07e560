//! `GET` and `PATCH /api/v1/user/info`, with state in the process and with a real Redis.

mod content_check;

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_each_field_is_returned_and_read_back(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    app.clock.advance_seconds(60);
    let body = json!({"nickname": "小明", "avatarUrl": AVATAR, "gender": 2});
    let changed = app.api.change(&tokens.access, &body).await;
    let user = json!({
        "id": tokens.user_id(), "nickname": "小明", "avatarUrl": AVATAR, "gender": 2, "phone": null, "role": "user",
        "status": "active", "createdAt": "2026-11-23T08:00:00.123Z", "updatedAt": "2026-11-23T08:01:00.123Z",
        "version": 2,
    });
    assert_eq!(
        changed.body,
        json!({"code": 200, "message": "操作成功", "data": user})
    );
    assert_eq!(app.api.info(&tokens.access).await.ok(200), &user);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_does_what_patch_does(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api
        .change(&tokens.access, &json!({"gender": 1}))
        .await
        .ok(200);
    let put = app
        .api
        .request("PUT", "/api/v1/user/info")
        .bearer(&tokens.access)
        .json(&json!({"nickname": "小明"}));
    let answer = put.send().await;
    let user = answer.ok(200);
    assert_eq!(
        (&user["nickname"], &user["gender"], &user["version"]),
        (&json!("小明"), &json!(1), &json!(3))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn omitted_fields_stay_unchanged(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api
        .change(&tokens.access, &json!({"nickname": "小明", "gender": 1}))
        .await
        .ok(200);
    let changed = app
        .api
        .change(&tokens.access, &json!({"avatarUrl": AVATAR}))
        .await;
    let user = changed.ok(200);
    assert_eq!(
        (&user["nickname"], &user["gender"], &user["avatarUrl"]),
        (&json!("小明"), &json!(1), &json!(AVATAR))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_clears_a_field(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = json!({"nickname": "小明", "avatarUrl": AVATAR, "gender": 2});
    app.api.change(&tokens.access, &body).await.ok(200);
    for field in ["nickname", "avatarUrl", "gender"] {
        let changed = app
            .api
            .change(&tokens.access, &json!({ field: null }))
            .await;
        assert_eq!(changed.ok(200)[field], Value::Null);
        assert_eq!(
            app.api.info(&tokens.access).await.ok(200)[field],
            Value::Null
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_increments_the_version_and_updates_updated_at(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for version in 2..5 {
        app.clock.advance_seconds(1);
        let changed = app.api.change(&tokens.access, &json!({"gender": 0})).await;
        assert_eq!(changed.ok(200)["version"], version);
        assert_eq!(
            changed.data()["updatedAt"],
            format!("2026-11-23T08:00:0{}.123Z", version - 1)
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nickname_is_trimmed_and_counted_in_characters(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let longest = "明".repeat(32);
    for (given, kept) in [
        ("  小明 ", "小明"),
        (longest.as_str(), longest.as_str()),
        ("👩‍🚀", "👩‍🚀"),
        ("\u{2060}\u{3164}", ""),
    ] {
        let changed = app
            .api
            .change(&tokens.access, &json!({"nickname": given}))
            .await;
        if kept.is_empty() {
            // It has no visible character.
            changed.fails_at(&["nickname"]);
        } else {
            assert_eq!(changed.ok(200)["nickname"], kept);
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_fields_are_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for field in [
        "phone", "role", "status", "id", "version", "openid", "Nickname",
    ] {
        app.api
            .change(&tokens.access, &json!({ field: "13800138000" }))
            .await
            .fails_at(&[field]);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_validation_errors_are_reported_together(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = json!({"nickname": "x", "avatarUrl": "http://a.cn/x", "gender": 3});
    let answer = app.api.change(&tokens.access, &body).await;
    let fields = json!([
        {"field": "nickname", "rule": "nickname", "message": "2 到 32 个可见字符"},
        {"field": "avatarUrl", "rule": "https_url", "message": "不超过 1024 字节的 https 地址"},
        {"field": "gender", "rule": "gender", "message": "0 未知，1 男，2 女"},
    ]);
    assert_eq!(
        answer.body,
        json!({
            "code": 400, "message": "请求参数不正确", "reason": "invalid_request", "data": {"fields": fields},
        })
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_change_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api
        .change(&tokens.access, &json!({}))
        .await
        .fails_at(&[""]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_change_writes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = app.rows().await;
    let body = json!({"nickname": "小明", "avatarUrl": "javascript:alert(1)"});
    app.api
        .change(&tokens.access, &body)
        .await
        .fails_at(&["avatarUrl"]);
    assert_eq!(app.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_about_fields_are_chinese_or_english(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for (language, message) in [
        ("zh-CN,zh;q=0.9,en;q=0.8", "2 到 32 个可见字符"),
        ("en-US", "2 to 32 visible characters"),
    ] {
        let request = app
            .api
            .request("PATCH", "/api/v1/user/info")
            .bearer(&tokens.access);
        let answer = request
            .header("accept-language", language)
            .json(&json!({"nickname": "x"}))
            .send()
            .await;
        assert_eq!(
            answer.fails(400, "invalid_request")["fields"][0]["message"],
            message
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_of_different_fields_keep_both(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for round in 1..=10 {
        let (nickname, gender) = (format!("round {round}"), round % 3);
        let (a, b) = (json!({"nickname": nickname}), json!({"gender": gender}));
        let (a, b) = futures_util::join!(
            app.api.change(&tokens.access, &a),
            app.api.change(&tokens.access, &b)
        );
        a.ok(200);
        b.ok(200);
        let read = app.api.info(&tokens.access).await;
        let user = read.ok(200);
        assert_eq!(
            (&user["nickname"], &user["gender"]),
            (&json!(nickname), &json!(gender))
        );
        assert_eq!(user["version"], 1 + 2 * round);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_after_a_change_sees_it_despite_caches(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for round in 0..15 {
        let body = json!({"nickname": format!("round {round}")});
        let reads = join_all((0..6).map(|_| app.api.info(&tokens.access)));
        let (_, changed) = futures_util::join!(reads, app.api.change(&tokens.access, &body));
        changed.ok(200);
        assert_eq!(
            app.api.info(&tokens.access).await.ok(200)["nickname"],
            body["nickname"]
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_see_only_their_own_profile(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    app.api
        .change(&alice.access, &json!({"nickname": "Alice"}))
        .await
        .ok(200);
    assert_eq!(
        app.api.info(&bob.access).await.ok(200)["nickname"],
        Value::Null
    );
    assert_eq!(app.api.info(&bob.access).await.ok(200)["id"], bob.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_can_neither_read_nor_change(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    app.disable(&tokens.user_id()).await;
    let before = app.rows().await;
    app.api
        .info(&tokens.access)
        .await
        .fails(403, "user_disabled");
    app.api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .fails(403, "user_disabled");
    assert_eq!(app.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_user_has_no_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.remove_row(&format!("USER#{}", tokens.user_id()), "PROFILE")
        .await;
    app.evict_profile(&tokens.user_id()).await;
    app.api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    app.api
        .change(&tokens.access, &json!({"gender": 1}))
        .await
        .fails(401, "session_revoked");
    assert_eq!(app.count("PROFILE").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_sees_a_change_at_once() {
    let app = TestApp::start(SharedState::Redis).await;
    let other = app.another_instance().await;
    let tokens = app.log_in("alice").await;
    for round in 0..5 {
        assert!(other.info(&tokens.access).await.ok(200)["nickname"] != format!("round {round}"));
        let body = json!({"nickname": format!("round {round}")});
        app.api.change(&tokens.access, &body).await.ok(200);
        assert_eq!(
            other.info(&tokens.access).await.ok(200)["nickname"],
            body["nickname"]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_another_instance_sees_a_change_at_once() {
    let app = TestApp::builder(SharedState::InProcess)
        .deployed()
        .start()
        .await;
    let other = app.another_instance().await;
    let tokens = app.log_in("alice").await;
    other.info(&tokens.access).await.ok(200);
    app.api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    assert_eq!(other.info(&tokens.access).await.ok(200)["nickname"], "小明");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_read_can_be_sent_back(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state).set("AVATAR_HOSTS", "x.example");
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    let url = |letters: usize| format!("https://x.example/{}", "é".repeat(letters));
    // 1024 bytes, of which 3036 would be stored.
    app.api
        .change(&tokens.access, &json!({"avatarUrl": url(503)}))
        .await
        .fails_at(&["avatarUrl"]);
    for body in [
        json!({"avatarUrl": url(167)}),
        json!({"avatarUrl": "https:\\\\X.example\\a b\"<>`{}|^[]'"}),
        json!({"nickname": "\u{3000} 小 明 \t"}),
    ] {
        let user = app.api.change(&tokens.access, &body).await.ok(200).clone();
        let name = body.as_object().unwrap().keys().next().unwrap();
        let again = json!({ name.as_str(): user[name] });
        let again = app.api.change(&tokens.access, &again).await;
        assert_eq!(again.ok(200)[name], user[name]);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_length_of_a_nickname_is_a_setting(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let one = json!({"nickname": "明"});
    app.api
        .change(&tokens.access, &one)
        .await
        .fails_at(&["nickname"]);
    let lenient = app
        .another_instance_with(&[("NICKNAME_MIN_CHARACTERS", "1")])
        .await;
    let user = lenient.change(&tokens.access, &one).await;
    assert_eq!(user.ok(200)["nickname"], "明");
    for invisible in ["", "\u{3164}", "\u{34f}"] {
        let answer = lenient
            .change(&tokens.access, &json!({"nickname": invisible}))
            .await;
        let fields = answer.fails(400, "invalid_request");
        assert_eq!(fields["fields"][0]["message"], "1 到 32 个可见字符");
    }
}
