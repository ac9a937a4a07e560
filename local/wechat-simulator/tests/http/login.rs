//! code2Session.

use http::StatusCode;
use serde_json::json;
use wechat_simulator::{UnionId, UserChange};

use crate::support::{APP, OTHER_APP, OTHER_SECRET, SECRET, TestSimulator, errcode, text};

#[tokio::test]
async fn a_login_returns_openid_and_session_key_as_plain_text_without_an_errcode() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let path = format!(
        "/sns/jscode2session?appid={APP}&secret={SECRET}&js_code={code}&grant_type=authorization_code"
    );
    let answer = wechat.send("GET", &path, "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.content_type, "text/plain");
    let session = answer.json();
    let names: Vec<_> = session
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["openid", "session_key"]);
    assert_eq!(
        session["openid"].as_str(),
        wechat.simulator.open_id("alice", None).ok().as_deref()
    );
    assert_eq!(text(&session["session_key"]).len(), 24);
}

#[tokio::test]
async fn a_code_works_once() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    wechat.code_to_session(&code).await;
    let again = wechat.code_to_session(&code).await;
    assert_eq!(errcode(&again), 40163);
    assert!(
        text(&again["errmsg"]).starts_with("code been used, rid: "),
        "{again}"
    );
}

#[tokio::test]
async fn a_code_expires_after_five_minutes() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let late = wechat.simulator.mint_code("alice", None).unwrap();
    wechat.advance(299);
    assert!(wechat.code_to_session(&code).await["openid"].is_string());
    wechat.advance(1);
    assert_eq!(errcode(&wechat.code_to_session(&late).await), 40029);
}

#[tokio::test]
async fn each_login_replaces_the_session_key_and_keeps_the_openid() {
    let wechat = TestSimulator::new();
    let (open_id, key) = wechat.log_in("alice").await;
    let (same_open_id, other_key) = wechat.log_in("alice").await;
    assert_eq!(open_id, same_open_id);
    assert_ne!(key, other_key);
}

#[tokio::test]
async fn a_user_can_be_set_to_keep_the_session_key() {
    let wechat = TestSimulator::new();
    let keep = UserChange {
        keep_session_key: Some(true),
        ..UserChange::default()
    };
    wechat.simulator.change_user("alice", keep).unwrap();
    assert_eq!(wechat.log_in("alice").await, wechat.log_in("alice").await);
}

#[tokio::test]
async fn the_unionid_appears_once_the_user_has_one_and_is_the_same_in_all_apps() {
    let wechat = TestSimulator::new();
    let union = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    wechat.simulator.change_user("alice", union).unwrap();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let here = wechat.code_to_session(&code).await;
    let code = wechat
        .simulator
        .mint_code("alice", Some(OTHER_APP))
        .unwrap();
    let there = wechat
        .get(&format!(
            "/sns/jscode2session?appid={OTHER_APP}&secret={OTHER_SECRET}&js_code={code}&grant_type=authorization_code"
        ))
        .await;
    assert_eq!(text(&here["unionid"]), text(&there["unionid"]));
    assert_ne!(here["openid"], there["openid"]);
}

#[tokio::test]
async fn invalid_requests_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let other = wechat
        .simulator
        .mint_code("alice", Some(OTHER_APP))
        .unwrap();
    let good = format!("appid={APP}&secret={SECRET}&grant_type=authorization_code&js_code=");
    for (query, expected) in [
        (
            format!("secret={SECRET}&js_code={code}&grant_type=authorization_code"),
            41002,
        ),
        (
            format!("appid={APP}&js_code={code}&grant_type=authorization_code"),
            41004,
        ),
        (good.clone(), 41008),
        (format!("appid={APP}&secret={SECRET}&js_code={code}"), 40002),
        (
            format!("appid=wxnone&secret=x&js_code={code}&grant_type=authorization_code"),
            40013,
        ),
        (
            format!("appid={APP}&secret=x&js_code={code}&grant_type=authorization_code"),
            40125,
        ),
        (format!("{good}made-up"), 40029),
        (format!("{good}{other}"), 40029),
    ] {
        let answer = wechat.get(&format!("/sns/jscode2session?{query}")).await;
        assert_eq!(errcode(&answer), expected, "{query}");
    }
    // None of these calls used up the code.
    assert!(wechat.code_to_session(&code).await["openid"].is_string());
}

#[tokio::test]
async fn parameters_in_the_body_are_ignored() {
    let wechat = TestSimulator::new();
    let body = json!({"appid": APP, "secret": SECRET, "js_code": "x"});
    assert_eq!(
        errcode(&wechat.post("/sns/jscode2session", body).await),
        41002
    );
}

#[tokio::test]
async fn a_high_risk_user_is_blocked() {
    let wechat = TestSimulator::new();
    let risk = UserChange {
        high_risk: Some(true),
        ..UserChange::default()
    };
    wechat.simulator.change_user("mallory", risk).unwrap();
    let code = wechat.simulator.mint_code("mallory", None).unwrap();
    assert_eq!(errcode(&wechat.code_to_session(&code).await), 40226);
}

#[tokio::test]
async fn a_users_101st_call_in_a_minute_is_rejected_and_does_not_use_up_the_code() {
    let wechat = TestSimulator::new();
    for _ in 0..100 {
        wechat.log_in("alice").await;
    }
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    assert_eq!(errcode(&wechat.code_to_session(&code).await), 45011);
    wechat.log_in("bob").await;
    wechat.advance(60);
    assert!(wechat.code_to_session(&code).await["openid"].is_string());
}
