//! Access tokens over HTTP. Their rules in time are tested beside the code.

use serde_json::json;

use crate::support::{APP, Bench, SECRET, errcode, text};

#[tokio::test]
async fn a_stable_token_is_long_and_stays_the_same() {
    let bench = Bench::new();
    let first = bench.stable_token(json!({})).await;
    bench.pass(10);
    let second = bench.stable_token(json!({"force_refresh": false})).await;
    assert!(text(&first["access_token"]).len() >= 136);
    assert_eq!(first["access_token"], second["access_token"]);
    assert_eq!(
        (&first["expires_in"], &second["expires_in"]),
        (&json!(7200), &json!(7190))
    );
    assert_eq!(first.get("errcode"), None);
}

#[tokio::test]
async fn a_forced_refresh_makes_the_old_token_stale() {
    let bench = Bench::new();
    let old = bench.access_token().await;
    let new = text(&bench.stable_token(json!({"force_refresh": true})).await["access_token"]);
    let call = async |token: &str| {
        errcode(
            &bench
                .post(&phone_path(token), json!({"code": "none"}))
                .await,
        )
    };
    assert_eq!((call(&old).await, call(&new).await), (40001, 40029));
}

#[tokio::test]
async fn a_token_ends_after_two_hours() {
    let bench = Bench::new();
    let token = bench.access_token().await;
    bench.pass(7200);
    let answer = bench
        .post(&phone_path(&token), json!({"code": "none"}))
        .await;
    assert_eq!(errcode(&answer), 42001);
    assert!(
        text(&answer["errmsg"]).starts_with("access_token expired rid: "),
        "{answer}"
    );
}

#[tokio::test]
async fn calls_without_a_token_and_with_a_made_up_one_are_told_apart() {
    let bench = Bench::new();
    for path in ["/wxa/business/getuserphonenumber", "/wxa/msg_sec_check"] {
        assert_eq!(errcode(&bench.post(path, json!({})).await), 41001);
        let made_up = format!("{path}?access_token=80_made_up");
        assert_eq!(errcode(&bench.post(&made_up, json!({})).await), 40001);
    }
    for path in [
        "/wxa/checksession",
        "/wxa/resetusersessionkey",
        "/wxa/business/getuserencryptkey",
    ] {
        assert_eq!(errcode(&bench.get(path).await), 41001);
        assert_eq!(
            errcode(&bench.get(&format!("{path}?access_token=80_made_up")).await),
            40001
        );
    }
}

#[tokio::test]
async fn a_classic_token_is_new_at_each_call() {
    let bench = Bench::new();
    let path = format!("/cgi-bin/token?grant_type=client_credential&appid={APP}&secret={SECRET}");
    let (first, second) = (bench.get(&path).await, bench.get(&path).await);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(second["expires_in"], json!(7200));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_errcode() {
    let bench = Bench::new();
    for (over, expected) in [
        (json!({"grant_type": "authorization_code"}), 40002),
        (json!({"appid": ""}), 41002),
        (json!({"secret": ""}), 41004),
        (json!({"appid": "wxnone"}), 40013),
        (json!({"secret": "wrong"}), 40125),
        (json!({"force_refresh": "yes"}), 47001),
    ] {
        assert_eq!(
            errcode(&bench.stable_token(over.clone()).await),
            expected,
            "{over}"
        );
    }
    assert_eq!(errcode(&bench.get("/cgi-bin/stable_token").await), 43002);
    let empty = bench.send("POST", "/cgi-bin/stable_token", "").await;
    assert_eq!(errcode(&empty.json()), 44002);
    assert_eq!(
        errcode(&bench.post("/cgi-bin/token", json!({})).await),
        43001
    );
    assert_eq!(errcode(&bench.get("/cgi-bin/token").await), 40002);
}

fn phone_path(token: &str) -> String {
    format!("/wxa/business/getuserphonenumber?access_token={token}")
}
