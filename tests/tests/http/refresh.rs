//! `POST /api/v1/user/refresh`, with state in the process and with a real Redis.

mod model;

use e2e::{
    settings::{APP_ID, APPS, OTHER_APP_ID, Settings},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_gives_new_tokens_of_the_same_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    app.clock.advance_seconds(10);
    let answer = app.api.refresh(&first.refresh).await;
    let second = Tokens::of(&answer);
    let data = json!({
        "token": second.access, "tokenType": "Bearer", "expiresIn": 7200, "refreshToken": second.refresh,
        "refreshExpiresIn": 2_592_000,
    });
    assert_eq!(
        answer.body,
        json!({"code": 200, "message": "操作成功", "data": data})
    );
    assert_eq!(second.session_id(), first.session_id());
    assert_ne!(
        (&second.access, &second.refresh),
        (&first.access, &first.refresh)
    );
    app.api.info(&second.access).await.ok(200);
    assert_eq!(
        app.session_row(&first).await["counter"].as_n().unwrap(),
        "1"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_renews_the_sessions_lifetime(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let mut tokens = app.log_in("alice").await;
    for _ in 0..3 {
        app.clock.advance_seconds(2_592_000 - 1);
        tokens = Tokens::of(&app.api.refresh(&tokens.refresh).await);
    }
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_concurrent_refreshes_get_the_identical_successor(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    let answers = join_all((0..100).map(|_| app.api.refresh(&first.refresh))).await;
    let successor = Tokens::of(&answers[0]);
    for answer in &answers {
        assert_eq!(Tokens::of(answer), successor);
    }
    assert_eq!(
        app.session_row(&first).await["counter"].as_n().unwrap(),
        "1"
    );
    app.api.refresh(&successor.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_one_step_behind_gets_the_identical_successor_within_the_grace_window(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    let successor = Tokens::of(&app.api.refresh(&first.refresh).await);
    app.clock.advance_seconds(60);
    assert_eq!(
        Tokens::of(&app.api.refresh(&first.refresh).await),
        successor
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_one_step_behind_is_reuse_after_the_grace_window(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    app.api.refresh(&first.refresh).await.ok(200);
    app.clock.advance_seconds(61);
    let answer = app.api.refresh(&first.refresh).await;
    answer.fails(401, "refresh_reused");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            r#"Bearer realm="weapp", error="invalid_token", error_description="the refresh token is not usable""#
        )
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_two_steps_behind_is_reuse_immediately(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    let second = Tokens::of(&app.api.refresh(&first.refresh).await);
    app.api.refresh(&second.refresh).await.ok(200);
    app.api
        .refresh(&first.refresh)
        .await
        .fails(401, "refresh_reused");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reuse_revokes_the_sessions_access_tokens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (first, successor) = reuse(&app).await;
    for tokens in [&first, &successor] {
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
        app.api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "session_revoked");
    }
    assert!(app.session_row(&first).await.contains_key("revokedAt"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reuse_is_audited_in_the_log(#[values(InProcess, Redis)] state: SharedState) {
    let log_capture = capture();
    let app = TestApp::start(state).await;
    let (first, _) = reuse(&app).await;
    let mut audits = log_capture
        .logs()
        .json_where("audit", &"refresh_reused".into());
    audits.retain(|line| line["session_id"] == first.session_id());
    assert_eq!(audits.len(), 1, "{audits:?}");
    assert_eq!(
        (&audits[0]["level"], &audits[0]["user_id"]),
        (&json!("WARN"), &json!(first.user_id()))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reuse_does_not_end_other_sessions(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let other = app.log_in("alice").await;
    reuse(&app).await;
    app.api.info(&other.access).await.ok(200);
    app.api.refresh(&other.refresh).await.ok(200);
}

/// Alice logs in and refreshes, and her first token is reused after the grace window. Returns her
/// tokens before and after.
async fn reuse(app: &TestApp) -> (Tokens, Tokens) {
    let first = app.log_in("alice").await;
    let successor = Tokens::of(&app.api.refresh(&first.refresh).await);
    app.api.info(&successor.access).await.ok(200);
    app.clock.advance_seconds(61);
    app.api
        .refresh(&first.refresh)
        .await
        .fails(401, "refresh_reused");
    (first, successor)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grace_window_every_second_use_is_reuse(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("REFRESH_GRACE_SECONDS", "0")
        .start()
        .await;
    let first = app.log_in("alice").await;
    app.api.refresh(&first.refresh).await.ok(200);
    app.clock.advance_seconds(1);
    app.api
        .refresh(&first.refresh)
        .await
        .fails(401, "refresh_reused");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_refresh_token_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let good = &tokens.refresh;
    let upper = good.to_uppercase();
    let longer = format!("{good}A");
    let padded = format!("{good}=");
    let shorter = &good[..good.len() - 1];
    let other_version = good.replace("rt1.", "rt2.");
    let garbage = [
        "x",
        "rt1.",
        "rt1.AAAA",
        "rt1.!!!!",
        " ",
        "\u{1F511}",
        &upper,
        &longer,
        &padded,
        shorter,
        &other_version,
    ];
    for text in garbage {
        let answer = app.api.refresh(text).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (401, Some("refresh_invalid")),
            "{text:?}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|challenge| challenge.starts_with("Bearer "))
        );
    }
    // An access token is longer than any refresh token, or fails like other text.
    let access = app.api.refresh(&tokens.access).await;
    assert!([400, 401].contains(&access.status), "{access:?}");
    app.api.refresh(good).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_with_the_body_of_another_is_invalid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    // 36 bytes of body are 48 characters; the rest is the HMAC.
    let cut = "rt1.".len() + 48;
    let forged = format!("{}{}", &alice.refresh[..cut], &bob.refresh[cut..]);
    app.api.refresh(&forged).await.fails(401, "refresh_invalid");
    app.api.refresh(&alice.refresh).await.ok(200);
    app.api.refresh(&bob.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_signed_with_another_key_is_invalid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let foreign = app
        .another_instance_with(&[("JWT_SECRETS", OTHER_SECRET)])
        .await;
    foreign
        .refresh(&tokens.refresh)
        .await
        .fails(401, "refresh_invalid");
    app.api.refresh(&tokens.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_survives_secret_rotation(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let both = format!("{OTHER_SECRET},{}", Settings::secrets()[2].1);
    let rotated = app.another_instance_with(&[("JWT_SECRETS", &both)]).await;
    rotated.info(&tokens.access).await.ok(200);
    let refreshed = Tokens::of(&rotated.refresh(&tokens.refresh).await);
    assert_ne!(refreshed.header()["kid"], tokens.header()["kid"]);
    rotated.info(&refreshed.access).await.ok(200);
}

const OTHER_SECRET: &str = "another-secret-of-the-tests-Zb7Qk2Vx9Lm4";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_cannot_be_refreshed(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(2_592_000);
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "refresh_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_row_cannot_be_refreshed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.remove_row(
        &format!("USER#{}", tokens.user_id()),
        &format!("SESSION#{}", tokens.session_id()),
    )
    .await;
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "refresh_invalid");
    assert_eq!(app.count("SESSION#").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_user_cannot_be_refreshed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.remove_row(&format!("USER#{}", tokens.user_id()), "PROFILE")
        .await;
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "refresh_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_cannot_refresh(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.disable(&tokens.user_id()).await;
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(403, "user_disabled");
    // The token was not used up: it is still current after the user is enabled again.
    app.enable(&tokens.user_id()).await;
    app.clock.advance_seconds(3600);
    app.api.refresh(&tokens.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_racing_a_logout_leaves_no_valid_token(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    // Without Redis there is only one instance.
    let other = match state {
        SharedState::InProcess => app.api.clone(),
        SharedState::Redis => app.another_instance().await,
    };
    let mut refreshed_first = 0;
    for round in 0..30 {
        let tokens = app.log_in(&format!("person {round}")).await;
        // The logout's head start varies by round.
        let head_start = round % 5;
        let refreshes = join_all(
            (0..4)
                .map(|at| if at % 2 == 0 { &app.api } else { &other })
                .map(async |api| {
                    let answer = api.refresh(&tokens.refresh).await;
                    if answer.status == 200 {
                        // Reads bring the session back into the cache, if anything can.
                        other.info(&Tokens::of(&answer).access).await;
                    }
                    answer
                }),
        );
        let logout = async {
            for _ in 0..head_start {
                other.info(&tokens.access).await;
            }
            app.api.logout(&tokens.access).await.ok(200);
        };
        let (answers, ()) = futures_util::join!(refreshes, logout);
        for answer in answers {
            if answer.status != 200 {
                answer.fails(401, "session_revoked");
                continue;
            }
            refreshed_first += 1;
            let tokens = Tokens::of(&answer);
            for api in [&app.api, &other] {
                api.info(&tokens.access).await.fails(401, "session_revoked");
                api.refresh(&tokens.refresh)
                    .await
                    .fails(401, "session_revoked");
            }
        }
    }
    assert!(
        refreshed_first > 0,
        "no refresh was ever faster than a logout, so there was no race"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_removed_mini_program_cannot_be_refreshed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let code = app.code_in(OTHER_APP_ID, "alice");
    let tokens = Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    let before = app.rows().await;
    let secret = APPS[0].1;
    let without = app
        .another_instance_with(&[
            ("WECHAT_APPIDS", APP_ID),
            ("WECHAT_SECRETS", &format!("{APP_ID}:{secret}")),
            ("MESSAGE_PUSH", ""),
        ])
        .await;
    without
        .info(&tokens.access)
        .await
        .fails(401, "token_invalid");
    // Also when it is sent again.
    for _ in 0..2 {
        without
            .refresh(&tokens.refresh)
            .await
            .fails(401, "refresh_invalid");
    }
    assert_eq!(app.rows().await, before);
    // Where it is still configured, nothing was lost.
    let refreshed = Tokens::of(&app.api.refresh(&tokens.refresh).await);
    for token in [&tokens.refresh, &refreshed.refresh] {
        without.refresh(token).await.fails(401, "refresh_invalid");
    }
    app.api.info(&refreshed.access).await.ok(200);
}
