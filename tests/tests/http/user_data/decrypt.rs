//! Data that WeChat encrypts for the server.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{DataKind, SessionKeyAction, UserChange};

use super::{data, seal, session_key, set_errcode, with};

const CHECK_SESSION: &str = "/wxa/checksession";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_data_opens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();

    let profile = app
        .api
        .decrypt(&tokens.access, &data(&app, "alice", DataKind::UserInfo))
        .await;
    assert_eq!(
        (&profile.ok(200)["nickName"], &profile.data()["openId"]),
        (&json!("微信用户"), &json!(open_id))
    );
    let mark = json!({"appid": APP_ID, "timestamp": 1_795_420_800});
    assert_eq!(profile.data()["watermark"], mark);

    let phone = UserChange {
        phone: Some("13900139000".into()),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", phone).unwrap();
    let phone = app
        .api
        .decrypt(&tokens.access, &data(&app, "alice", DataKind::Phone))
        .await;
    let expected = json!({
        "phoneNumber": "13900139000", "purePhoneNumber": "13900139000", "countryCode": "86", "watermark": mark,
    });
    assert_eq!(*phone.ok(200), expected);

    let steps = app
        .api
        .decrypt(&tokens.access, &data(&app, "alice", DataKind::WeRun))
        .await;
    assert_eq!(steps.ok(200)["stepInfoList"].as_array().unwrap().len(), 31);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_are_kept(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let object = marked(&app, json!({"new": {"deep": [1, null, "小明"]}}));
    let answer = app
        .api
        .decrypt(
            &tokens.access,
            &seal(&session_key(&app, "alice").await, &object.to_string()),
        )
        .await;
    assert_eq!(*answer.ok(200), object);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_session_key_still_opens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::UserInfo);
    // The page called wx.login again while the data was on its way.
    app.log_in("alice").await;
    app.api.decrypt(&tokens.access, &body).await.ok(200);
    app.api
        .decrypt(&tokens.access, &data(&app, "alice", DataKind::UserInfo))
        .await
        .ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_key_before_the_previous_one_is_stale(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::Phone);
    app.log_in("alice").await;
    app.log_in("alice").await;
    app.api
        .decrypt(&tokens.access, &body)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_wechat_replaced_is_stale_until_the_next_login(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    let body = data(&app, "alice", DataKind::Phone);
    let refused = app.api.decrypt(&tokens.access, &body).await;
    refused.fails(409, "session_key_stale");
    assert_eq!(refused.message(), "微信会话已更新，请重新登录后重试");
    let again = app.log_in("alice").await;
    app.api
        .decrypt(&again.access, &data(&app, "alice", DataKind::Phone))
        .await
        .ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_user_is_stale(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.log_in("bob").await;
    let answer = app
        .api
        .decrypt(&tokens.access, &data(&app, "bob", DataKind::Phone))
        .await;
    answer.fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_mini_program_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let mut object = marked(&app, json!({"nickName": "alice"}));
    object["watermark"]["appid"] = OTHER_APP_ID.into();
    app.api
        .decrypt(&tokens.access, &seal(&key, &object.to_string()))
        .await
        .fails(400, "decrypt_failed");
    // Her session key there differs, and this token is for this mini-program.
    app.api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await
        .ok(200);
    let body = json!(
        app.wechat
            .encrypted_data("alice", DataKind::Phone, Some(OTHER_APP_ID))
            .unwrap()
    );
    app.api
        .decrypt(&tokens.access, &body)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_with_an_old_or_future_watermark_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    for (offset, opens) in [
        (0, true),
        (-300, true),
        (-301, false),
        (60, true),
        (61, false),
        (i64::MIN / 2, false),
    ] {
        let mut object = marked(&app, json!({}));
        let now = object["watermark"]["timestamp"].as_i64().unwrap();
        object["watermark"]["timestamp"] = json!(now + offset);
        let answer = app
            .api
            .decrypt(&tokens.access, &seal(&key, &object.to_string()))
            .await;
        if opens {
            answer.ok(200);
        } else {
            answer.fails(400, "decrypt_failed");
        }
    }
    let patient = app
        .another_instance_with(&[("WATERMARK_MAX_AGE_SECONDS", "600")])
        .await;
    let body = data(&app, "alice", DataKind::Phone);
    app.clock.advance_seconds(600);
    app.api
        .decrypt(&tokens.access, &body)
        .await
        .fails(400, "decrypt_failed");
    patient.decrypt(&tokens.access, &body).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_a_valid_watermark_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let good = marked(&app, json!({}));
    let time = &good["watermark"]["timestamp"];
    for mark in [
        Value::Null,
        json!(1),
        json!([APP_ID, time]),
        json!({"appid": APP_ID}),
        json!({"timestamp": time}),
        json!({"appid": APP_ID, "timestamp": "soon"}),
        json!({"appid": [APP_ID], "timestamp": time}),
        json!({"appid": APP_ID.to_uppercase(), "timestamp": time}),
    ] {
        let body = seal(&key, &json!({"watermark": mark}).to_string());
        app.api
            .decrypt(&tokens.access, &body)
            .await
            .fails(400, "decrypt_failed");
    }
    app.api
        .decrypt(&tokens.access, &seal(&key, "{}"))
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_of_another_text_or_key_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::UserInfo);
    app.api.decrypt(&tokens.access, &body).await.ok(200);
    let raw = body["rawData"].as_str().unwrap();
    let signature = body["signature"].as_str().unwrap();
    for wrong in [
        with(&body, "rawData", raw.replace("微信用户", "管理员")),
        with(&body, "rawData", format!("{raw} ")),
        with(&body, "rawData", ""),
        with(
            &body,
            "signature",
            signature.replace(|c: char| c.is_ascii_digit(), "0"),
        ),
        with(&body, "signature", ""),
        with(&body, "signature", "not hex"),
        with(&body, "signature", format!("{signature}00")),
    ] {
        app.api
            .decrypt(&tokens.access, &wrong)
            .await
            .fails(400, "decrypt_failed");
    }
    // A valid signature, but with an older key than the one that opens the data.
    app.log_in("alice").await;
    let newer = data(&app, "alice", DataKind::UserInfo);
    let mixed = with(&with(&newer, "rawData", raw), "signature", signature);
    app.api
        .decrypt(&tokens.access, &mixed)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_without_its_text_is_rejected_by_field_name(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::Phone);
    app.api
        .decrypt(&tokens.access, &with(&body, "signature", "75e8"))
        .await
        .fails_at(&["rawData"]);
    app.api
        .decrypt(&tokens.access, &with(&body, "rawData", "{}"))
        .await
        .fails_at(&["signature"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_ciphertext_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::Phone);
    let (text, iv) = (
        body["encryptedData"].as_str().unwrap(),
        body["iv"].as_str().unwrap(),
    );
    for wrong in [
        with(&body, "encryptedData", ""),
        with(&body, "encryptedData", "!"),
        with(&body, "encryptedData", &text[..text.len() - 1]),
        with(&body, "encryptedData", format!("{text}AAAA")),
        with(&body, "encryptedData", format!(" {text}")),
        with(&body, "iv", ""),
        with(&body, "iv", &iv[..20]),
        with(&body, "iv", text),
    ] {
        app.api
            .decrypt(&tokens.access, &wrong)
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_with_careless_text_opens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let now = shared::clock::Clock::Manual(app.clock.clone()).now_seconds();
    let mark = format!(r#""watermark":{{"appid":"{APP_ID}","timestamp":{now}}}"#);
    for (name, expected) in [
        ("X\u{14}Y", "X\u{14}Y"),
        ("a\nb", "a\nb"),
        ("a\u{0}b", "a\u{0}b"),
        (r"a\ud83d", "a\u{fffd}"),
        (r"\_(ツ)_/", r"\_(ツ)_/"),
    ] {
        let text = format!(r#"{{"openId":"o","nickName":"{name}","gender":0,{mark}}}"#);
        let answer = app.api.decrypt(&tokens.access, &seal(&key, &text)).await;
        assert_eq!(answer.ok(200)["nickName"], expected, "{name:?}");
    }
    let quoted = mark.replace(&now.to_string(), &format!("\"{now}\""));
    for text in [
        format!("\u{feff}{{{mark}}}\0\0"),
        format!("{{\"a\":[1,],{quoted} }}\n"),
    ] {
        app.api
            .decrypt(&tokens.access, &seal(&key, &text))
            .await
            .ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watermark_in_another_notation_is_accepted(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let now = shared::clock::Clock::Manual(app.clock.clone()).now_seconds();
    for time in [
        format!("{now}.0"),
        format!("{now}e0"),
        format!("\"{now}.0\""),
        format!("\"\u{200b}{now}\u{feff}\""),
    ] {
        let text = format!(
            "{{\"watermark\":{{\"appid\":\"\u{2060}{APP_ID}\u{200b}\",\"timestamp\":{time}}}}}"
        );
        app.api
            .decrypt(&tokens.access, &seal(&key, &text))
            .await
            .ok(200);
    }
    for time in ["0.5", "\"1e300\"", "\"NaN\"", "\"inf\"", "true"] {
        let text = format!("{{\"watermark\":{{\"appid\":\"{APP_ID}\",\"timestamp\":{time}}}}}");
        app.api
            .decrypt(&tokens.access, &seal(&key, &text))
            .await
            .fails(400, "decrypt_failed");
    }
}

/// Another login would not help.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_opened_but_is_unreadable_is_not_called_stale(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let whole = marked(&app, json!({"nickName": "n"})).to_string();
    for text in [
        whole.replace("\"n\"", "\"n\"n\""),
        whole[..whole.len() - 1].to_owned(),
    ] {
        app.api
            .decrypt(&tokens.access, &seal(&key, &text))
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_own_cause_in_the_log(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let body = seal(
        &key,
        &marked(&app, json!({"x": "n".repeat(200)})).to_string(),
    );
    let (text, iv) = (
        body["encryptedData"].as_str().unwrap(),
        body["iv"].as_str().unwrap(),
    );
    let sealed = |mark: Value| seal(&key, &json!({ "watermark": mark }).to_string());
    let now = shared::clock::Clock::Manual(app.clock.clone()).now_seconds();
    let lines = text.as_bytes().chunks(76).map(String::from_utf8_lossy);
    let lines = lines.collect::<Vec<_>>().join("\r\n");
    let signed = with(&with(&body, "rawData", "{}"), "signature", "0".repeat(40));
    let failed = "decrypt_failed";
    let cases = [
        (
            with(&body, "encryptedData", text.replace('+', " ")),
            failed,
            "contains blanks",
        ),
        (
            with(&body, "encryptedData", text.replace('+', "-")),
            failed,
            "URL-safe",
        ),
        (
            with(&body, "encryptedData", lines),
            failed,
            "encryptedData is not base64: it contains line",
        ),
        (
            with(&body, "encryptedData", "!"),
            failed,
            "a wrong character",
        ),
        (with(&body, "encryptedData", "AAAA"), failed, "whole blocks"),
        (
            with(&body, "iv", format!("{iv}\n")),
            failed,
            "iv is not base64: it contains line",
        ),
        (with(&body, "iv", "AAAA"), failed, "iv is not 16 bytes"),
        (
            sealed(json!({"appid": APP_ID, "timestamp": now - 302})),
            failed,
            "302 s old",
        ),
        (
            sealed(json!({"appid": APP_ID, "timestamp": now + 62})),
            failed,
            "62 s in the future",
        ),
        (
            sealed(json!({"appid": OTHER_APP_ID, "timestamp": now})),
            failed,
            "another mini-program",
        ),
        (sealed(json!(1)), failed, "watermark: missing"),
        (seal(&key, "{\"watermark\":"), failed, "can't be read"),
        (signed, failed, "signature"),
        (
            seal("AAAAAAAAAAAAAAAAAAAAAA==", "{}"),
            "session_key_stale",
            "opens with no key",
        ),
    ];
    assert!(text.contains('+') && text.len() > 76);
    for (body, reason, part) in cases {
        let log = capture();
        let answer = app.api.decrypt(&tokens.access, &body).await;
        answer.fails(if reason == failed { 400 } else { 409 }, reason);
        assert_eq!(answer.data(), &Value::Null);
        let id = json!(answer.header("x-request-id").unwrap());
        let lines = log.logs().json_where("request_id", &id);
        let line = lines
            .iter()
            .find(|line| line["message"] == "request")
            .unwrap();
        let cause = line["cause"].as_str().unwrap_or_default();
        assert!(cause.contains(part), "{part}: {cause}");
    }
}

/// Wrong padding, invalid JSON and an unknown key are indistinguishable, so none of them reveals
/// anything about the plaintext.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_decryption_failures_look_the_same(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let key = session_key(&app, "alice").await;
    let padding = {
        let mut body = seal(&key, &marked(&app, json!({})).to_string());
        let mut blocks = body["encryptedData"].as_str().unwrap().to_owned();
        // Without its last block the text ends without padding.
        blocks.truncate(64);
        body["encryptedData"] = blocks.into();
        body
    };
    let other_key = seal(
        "AAAAAAAAAAAAAAAAAAAAAA==",
        &marked(&app, json!({})).to_string(),
    );
    let mut answers = Vec::new();
    for body in [
        padding,
        other_key,
        seal(&key, "no JSON"),
        seal(&key, "[]"),
        seal(&key, ""),
    ] {
        let mut answer = app.api.decrypt(&tokens.access, &body).await;
        answer.fails(409, "session_key_stale");
        answer.headers.remove("x-request-id");
        for varying in ["date", "ratelimit", "retry-after"] {
            answer.headers.remove(varying);
        }
        answers.push(format!("{:?} {}", answer.headers, answer.body));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_session_validates_the_key_first(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let checked = |body: &Value| with(body, "checkSession", true);
    let body = data(&app, "alice", DataKind::Phone);
    app.api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .ok(200);
    assert_eq!(app.wechat.calls(CHECK_SESSION), 1);
    // WeChat has replaced the key. Without the check the old data would still open.
    app.wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    app.api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    app.api.decrypt(&tokens.access, &body).await.ok(200);
    app.wechat
        .session_key("alice", SessionKeyAction::Expire, Some(APP_ID))
        .unwrap();
    app.api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    // With the check only the key that was checked counts.
    let again = app.log_in("alice").await;
    app.api
        .decrypt(&again.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    let fresh = data(&app, "alice", DataKind::Phone);
    app.log_in("alice").await;
    app.api.decrypt(&tokens.access, &fresh).await.ok(200);
    app.api
        .decrypt(&tokens.access, &checked(&fresh))
        .await
        .fails(409, "session_key_stale");
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (45011, 429, "rate_limited"),
        (40001, 502, "upstream_error"),
    ] {
        set_errcode(&app, CHECK_SESSION, errcode);
        let latest = data(&app, "alice", DataKind::Phone);
        app.api
            .decrypt(&tokens.access, &checked(&latest))
            .await
            .fails(status, reason);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decryption_does_not_call_wechat(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = app.wechat.all_calls();
    app.api
        .decrypt(&tokens.access, &data(&app, "alice", DataKind::UserInfo))
        .await
        .ok(200);
    assert_eq!(app.wechat.all_calls(), before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decryption_requires_a_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::Phone);
    let anonymous = app
        .api
        .request("POST", "/api/v1/user/decrypt")
        .json(&body)
        .send()
        .await;
    anonymous.fails(401, "token_missing");
    app.disable(&tokens.user_id()).await;
    app.api
        .decrypt(&tokens.access, &body)
        .await
        .fails(403, "user_disabled");
    app.enable(&tokens.user_id()).await;
    app.api.logout(&tokens.access).await.ok(200);
    app.api
        .decrypt(&tokens.access, &body)
        .await
        .fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_with_unknown_or_mistyped_fields_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let body = data(&app, "alice", DataKind::Phone);
    app.api
        .decrypt(&tokens.access, &with(&body, "sessionKey", "x"))
        .await
        .fails_at(&["sessionKey"]);
    app.api
        .decrypt(&tokens.access, &with(&body, "iv", 1))
        .await
        .fails_at(&["iv"]);
    app.api
        .decrypt(&tokens.access, &json!({"iv": body["iv"]}))
        .await
        .fails_at(&["encryptedData"]);
    app.api
        .decrypt(&tokens.access, &with(&body, "checkSession", "yes"))
        .await
        .fails_at(&["checkSession"]);
}

/// Adds WeChat's watermark for this mini-program and the current time.
fn marked(app: &TestApp, mut object: Value) -> Value {
    let now = shared::clock::Clock::Manual(app.clock.clone()).now_seconds();
    object["watermark"] = json!({"appid": APP_ID, "timestamp": now});
    object
}
