//! Access tokens over HTTP. The unit tests of `state::access_tokens` cover lifetimes and limits.

use serde_json::json;

use crate::support::{APP, SECRET, TestSimulator, errcode, text};

#[tokio::test]
async fn a_stable_token_is_long_and_stays_the_same() {
    let wechat = TestSimulator::new();
    let first = wechat.stable_token(json!({})).await;
    wechat.advance(10);
    let second = wechat.stable_token(json!({"force_refresh": false})).await;
    assert!(text(&first["access_token"]).len() >= 136);
    assert_eq!(first["access_token"], second["access_token"]);
    assert_eq!(
        (&first["expires_in"], &second["expires_in"]),
        (&json!(7200), &json!(7190))
    );
    assert_eq!(first.get("errcode"), None);
}

#[tokio::test]
async fn a_forced_refresh_invalidates_the_old_token() {
    let wechat = TestSimulator::new();
    let old = wechat.access_token().await;
    let new = text(&wechat.stable_token(json!({"force_refresh": true})).await["access_token"]);
    let call = async |token: &str| {
        errcode(
            &wechat
                .post(&phone_path(token), json!({"code": "none"}))
                .await,
        )
    };
    assert_eq!((call(&old).await, call(&new).await), (40001, 40029));
}

#[tokio::test]
async fn a_token_expires_after_two_hours() {
    let wechat = TestSimulator::new();
    let token = wechat.access_token().await;
    wechat.advance(7200);
    let answer = wechat
        .post(&phone_path(&token), json!({"code": "none"}))
        .await;
    assert_eq!(errcode(&answer), 42001);
    assert!(
        text(&answer["errmsg"]).starts_with("access_token expired rid: "),
        "{answer}"
    );
}

#[tokio::test]
async fn a_missing_and_an_unknown_token_have_different_errcodes() {
    let wechat = TestSimulator::new();
    for path in ["/wxa/business/getuserphonenumber", "/wxa/msg_sec_check"] {
        assert_eq!(errcode(&wechat.post(path, json!({})).await), 41001);
        let made_up = format!("{path}?access_token=80_made_up");
        assert_eq!(errcode(&wechat.post(&made_up, json!({})).await), 40001);
    }
    for path in [
        "/wxa/checksession",
        "/wxa/resetusersessionkey",
        "/wxa/business/getuserencryptkey",
    ] {
        assert_eq!(errcode(&wechat.get(path).await), 41001);
        assert_eq!(
            errcode(&wechat.get(&format!("{path}?access_token=80_made_up")).await),
            40001
        );
    }
}

#[tokio::test]
async fn a_classic_token_is_new_at_each_call() {
    let wechat = TestSimulator::new();
    let path = format!("/cgi-bin/token?grant_type=client_credential&appid={APP}&secret={SECRET}");
    let (first, second) = (wechat.get(&path).await, wechat.get(&path).await);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(second["expires_in"], json!(7200));
}

#[tokio::test]
async fn invalid_requests_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    for (over, expected) in [
        (json!({"grant_type": "authorization_code"}), 40002),
        (json!({"appid": ""}), 41002),
        (json!({"secret": ""}), 41004),
        (json!({"appid": "wxnone"}), 40013),
        (json!({"secret": "wrong"}), 40125),
        (json!({"force_refresh": "yes"}), 47001),
    ] {
        assert_eq!(
            errcode(&wechat.stable_token(over.clone()).await),
            expected,
            "{over}"
        );
    }
    assert_eq!(errcode(&wechat.get("/cgi-bin/stable_token").await), 43002);
    let empty = wechat.send("POST", "/cgi-bin/stable_token", "").await;
    assert_eq!(errcode(&empty.json()), 44002);
    assert_eq!(
        errcode(&wechat.post("/cgi-bin/token", json!({})).await),
        43001
    );
    assert_eq!(errcode(&wechat.get("/cgi-bin/token").await), 40002);
}

fn phone_path(token: &str) -> String {
    format!("/wxa/business/getuserphonenumber?access_token={token}")
}
