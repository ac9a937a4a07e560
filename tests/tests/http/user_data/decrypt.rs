//! Data that WeChat encrypts for the server.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    world::{
        SharedState::{self, InProcess, Redis},
        World,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{DataKind, SessionKeyAction, UserChange};

use super::{data, refuses, seal, session_key, start, with};

const CHECK_SESSION: &str = "/wxa/checksession";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_data_opens(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let open_id = world.wechat.open_id("alice", Some(APP_ID)).unwrap();

    let profile = world
        .api
        .decrypt(&tokens.access, &data(&world, "alice", DataKind::UserInfo))
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
    world.wechat.change_user("alice", phone).unwrap();
    let phone = world
        .api
        .decrypt(&tokens.access, &data(&world, "alice", DataKind::Phone))
        .await;
    let expected = json!({
        "phoneNumber": "13900139000", "purePhoneNumber": "13900139000", "countryCode": "86", "watermark": mark,
    });
    assert_eq!(*phone.ok(200), expected);

    let steps = world
        .api
        .decrypt(&tokens.access, &data(&world, "alice", DataKind::WeRun))
        .await;
    assert_eq!(steps.ok(200)["stepInfoList"].as_array().unwrap().len(), 31);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_nobody_knows_yet_are_kept(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let object = marked(&world, json!({"new": {"deep": [1, null, "小明"]}}));
    let answer = world
        .api
        .decrypt(
            &tokens.access,
            &seal(&session_key(&world, "alice").await, &object.to_string()),
        )
        .await;
    assert_eq!(*answer.ok(200), object);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_session_key_still_opens(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::UserInfo);
    // The page called wx.login again while the data was on its way.
    world.log_in("alice").await;
    world.api.decrypt(&tokens.access, &body).await.ok(200);
    world
        .api
        .decrypt(&tokens.access, &data(&world, "alice", DataKind::UserInfo))
        .await
        .ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_one_before_the_previous_is_stale(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::Phone);
    world.log_in("alice").await;
    world.log_in("alice").await;
    world
        .api
        .decrypt(&tokens.access, &body)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_wechat_replaced_is_stale_until_the_next_login(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    world
        .wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    let body = data(&world, "alice", DataKind::Phone);
    let refused = world.api.decrypt(&tokens.access, &body).await;
    refused.fails(409, "session_key_stale");
    assert_eq!(refused.message(), "微信会话已更新，请重新登录后重试");
    let again = world.log_in("alice").await;
    world
        .api
        .decrypt(&again.access, &data(&world, "alice", DataKind::Phone))
        .await
        .ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_user_is_stale(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    world.log_in("bob").await;
    let answer = world
        .api
        .decrypt(&tokens.access, &data(&world, "bob", DataKind::Phone))
        .await;
    answer.fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_another_mini_program_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let key = session_key(&world, "alice").await;
    let mut object = marked(&world, json!({"nickName": "alice"}));
    object["watermark"]["appid"] = OTHER_APP_ID.into();
    world
        .api
        .decrypt(&tokens.access, &seal(&key, &object.to_string()))
        .await
        .fails(400, "decrypt_failed");
    // Her key there is another one, and her token here is not for there.
    world
        .api
        .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
        .await
        .ok(200);
    let body = json!(
        world
            .wechat
            .encrypted_data("alice", DataKind::Phone, Some(OTHER_APP_ID))
            .unwrap()
    );
    world
        .api
        .decrypt(&tokens.access, &body)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_data_and_data_from_the_future_are_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let key = session_key(&world, "alice").await;
    for (offset, opens) in [
        (0, true),
        (-300, true),
        (-301, false),
        (60, true),
        (61, false),
        (i64::MIN / 2, false),
    ] {
        let mut object = marked(&world, json!({}));
        let now = object["watermark"]["timestamp"].as_i64().unwrap();
        object["watermark"]["timestamp"] = json!(now + offset);
        let answer = world
            .api
            .decrypt(&tokens.access, &seal(&key, &object.to_string()))
            .await;
        if opens {
            answer.ok(200);
        } else {
            answer.fails(400, "decrypt_failed");
        }
    }
    let patient = world
        .another_instance_with(&[("WATERMARK_MAX_AGE_SECONDS", "600")])
        .await;
    let body = data(&world, "alice", DataKind::Phone);
    world.clock.advance_seconds(600);
    world
        .api
        .decrypt(&tokens.access, &body)
        .await
        .fails(400, "decrypt_failed");
    patient.decrypt(&tokens.access, &body).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_a_proper_watermark_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let key = session_key(&world, "alice").await;
    let good = marked(&world, json!({}));
    let time = &good["watermark"]["timestamp"];
    for mark in [
        Value::Null,
        json!(1),
        json!([APP_ID, time]),
        json!({"appid": APP_ID}),
        json!({"timestamp": time}),
        json!({"appid": APP_ID, "timestamp": time.to_string()}),
        json!({"appid": [APP_ID], "timestamp": time}),
        json!({"appid": APP_ID.to_uppercase(), "timestamp": time}),
    ] {
        let body = seal(&key, &json!({"watermark": mark}).to_string());
        world
            .api
            .decrypt(&tokens.access, &body)
            .await
            .fails(400, "decrypt_failed");
    }
    world
        .api
        .decrypt(&tokens.access, &seal(&key, "{}"))
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_has_to_be_of_the_same_text_and_key(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::UserInfo);
    world.api.decrypt(&tokens.access, &body).await.ok(200);
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
        world
            .api
            .decrypt(&tokens.access, &wrong)
            .await
            .fails(400, "decrypt_failed");
    }
    // A good signature, but of an older key than the one that opens the data.
    world.log_in("alice").await;
    let newer = data(&world, "alice", DataKind::UserInfo);
    let mixed = with(&with(&newer, "rawData", raw), "signature", signature);
    world
        .api
        .decrypt(&tokens.access, &mixed)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_without_its_text_is_a_broken_rule(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::Phone);
    world
        .api
        .decrypt(&tokens.access, &with(&body, "signature", "75e8"))
        .await
        .fails_at(&["rawData"]);
    world
        .api
        .decrypt(&tokens.access, &with(&body, "rawData", "{}"))
        .await
        .fails_at(&["signature"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_a_ciphertext_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::Phone);
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
        world
            .api
            .decrypt(&tokens.access, &wrong)
            .await
            .fails(400, "decrypt_failed");
    }
}

/// A wrong padding, a text that is no JSON and an unknown key look the same: none tells about the
/// plaintext.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_not_opening_has_one_answer(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let key = session_key(&world, "alice").await;
    let padding = {
        let mut body = seal(&key, &marked(&world, json!({})).to_string());
        let mut blocks = body["encryptedData"].as_str().unwrap().to_owned();
        // The last block is gone, so that what ends the text now is no padding.
        blocks.truncate(64);
        body["encryptedData"] = blocks.into();
        body
    };
    let other_key = seal(
        "AAAAAAAAAAAAAAAAAAAAAA==",
        &marked(&world, json!({})).to_string(),
    );
    let mut answers = Vec::new();
    for body in [
        padding,
        other_key,
        seal(&key, "no JSON"),
        seal(&key, "[]"),
        seal(&key, ""),
    ] {
        let mut answer = world.api.decrypt(&tokens.access, &body).await;
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
async fn the_key_is_checked_first_when_that_is_asked_for(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let checked = |body: &Value| with(body, "checkSession", true);
    let body = data(&world, "alice", DataKind::Phone);
    world
        .api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .ok(200);
    assert_eq!(world.wechat.calls(CHECK_SESSION), 1);
    // WeChat has another one now. Without the check the old data would still open.
    world
        .wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    world
        .api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    world.api.decrypt(&tokens.access, &body).await.ok(200);
    world
        .wechat
        .session_key("alice", SessionKeyAction::Expire, Some(APP_ID))
        .unwrap();
    world
        .api
        .decrypt(&tokens.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    // With the check only the key that was checked counts.
    let again = world.log_in("alice").await;
    world
        .api
        .decrypt(&again.access, &checked(&body))
        .await
        .fails(409, "session_key_stale");
    let fresh = data(&world, "alice", DataKind::Phone);
    world.log_in("alice").await;
    world.api.decrypt(&tokens.access, &fresh).await.ok(200);
    world
        .api
        .decrypt(&tokens.access, &checked(&fresh))
        .await
        .fails(409, "session_key_stale");
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (45011, 429, "rate_limited"),
        (40001, 502, "upstream_error"),
    ] {
        refuses(&world, CHECK_SESSION, errcode);
        let latest = data(&world, "alice", DataKind::Phone);
        world
            .api
            .decrypt(&tokens.access, &checked(&latest))
            .await
            .fails(status, reason);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_to_wechat_is_needed(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let before = world.wechat.all_calls();
    world
        .api
        .decrypt(&tokens.access, &data(&world, "alice", DataKind::UserInfo))
        .await
        .ok(200);
    assert_eq!(world.wechat.all_calls(), before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_decrypts_without_a_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::Phone);
    let anonymous = world
        .api
        .request("POST", "/api/v1/user/decrypt")
        .json(&body)
        .send()
        .await;
    anonymous.fails(401, "token_missing");
    world.disable(&tokens.user_id()).await;
    world
        .api
        .decrypt(&tokens.access, &body)
        .await
        .fails(403, "user_disabled");
    world.enable(&tokens.user_id()).await;
    world.api.logout(&tokens.access).await.ok(200);
    world
        .api
        .decrypt(&tokens.access, &body)
        .await
        .fails(401, "session_revoked");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_hold_nothing_else(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let body = data(&world, "alice", DataKind::Phone);
    world
        .api
        .decrypt(&tokens.access, &with(&body, "sessionKey", "x"))
        .await
        .fails_at(&["sessionKey"]);
    world
        .api
        .decrypt(&tokens.access, &with(&body, "iv", 1))
        .await
        .fails_at(&["iv"]);
    world
        .api
        .decrypt(&tokens.access, &json!({"iv": body["iv"]}))
        .await
        .fails_at(&["encryptedData"]);
    world
        .api
        .decrypt(&tokens.access, &with(&body, "checkSession", "yes"))
        .await
        .fails_at(&["checkSession"]);
}

/// With WeChat's mark for this mini-program and this moment.
fn marked(world: &World, mut object: Value) -> Value {
    let now = shared::clock::Clock::Manual(world.clock.clone()).now_seconds();
    object["watermark"] = json!({"appid": APP_ID, "timestamp": now});
    object
}
