//! getPhoneNumber.

use serde_json::{Value, json};
use wechat_simulator::UserChange;

use crate::support::{APP, OTHER_APP, START, TestSimulator, errcode};

async fn exchange(wechat: &TestSimulator, body: Value) -> Value {
    let token = wechat.access_token().await;
    wechat
        .post(
            &format!("/wxa/business/getuserphonenumber?access_token={token}"),
            body,
        )
        .await
}

#[tokio::test]
async fn a_phone_code_returns_the_number_with_a_watermark() {
    let wechat = TestSimulator::new();
    let phone = UserChange {
        phone: Some("13900001111".to_owned()),
        ..UserChange::default()
    };
    wechat.simulator.change_user("alice", phone).unwrap();
    let code = wechat.simulator.phone_code("alice", None).unwrap();
    let expected = json!({
        "errcode": 0,
        "errmsg": "ok",
        "phone_info": {
            "phoneNumber": "13900001111",
            "purePhoneNumber": "13900001111",
            "countryCode": "86",
            "watermark": {"timestamp": START, "appid": APP},
        },
    });
    assert_eq!(exchange(&wechat, json!({"code": code})).await, expected);
}

#[tokio::test]
async fn the_country_code_can_be_a_number() {
    let wechat = TestSimulator::new();
    let numeric = UserChange {
        numeric_country_code: Some(true),
        ..UserChange::default()
    };
    wechat.simulator.change_user("alice", numeric).unwrap();
    let code = wechat.simulator.phone_code("alice", None).unwrap();
    let answer = exchange(&wechat, json!({"code": code})).await;
    assert_eq!(answer["phone_info"]["countryCode"], json!(86));
}

#[tokio::test]
async fn a_phone_code_works_once_and_for_five_minutes() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.phone_code("alice", None).unwrap();
    let late = wechat.simulator.phone_code("alice", None).unwrap();
    assert_eq!(errcode(&exchange(&wechat, json!({"code": code})).await), 0);
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": code})).await),
        40029
    );
    wechat.advance(300);
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": late})).await),
        40029
    );
}

#[tokio::test]
async fn login_codes_and_phone_codes_are_not_exchangeable() {
    let wechat = TestSimulator::new();
    let login = wechat.simulator.mint_code("alice", None).unwrap();
    let phone = wechat.simulator.phone_code("alice", None).unwrap();
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": login})).await),
        40029
    );
    assert_eq!(errcode(&wechat.code_to_session(&phone).await), 40029);
}

#[tokio::test]
async fn a_code_of_another_app_is_an_invalid_appid() {
    let wechat = TestSimulator::new();
    let code = wechat
        .simulator
        .phone_code("alice", Some(OTHER_APP))
        .unwrap();
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": code})).await),
        40013
    );
}

#[tokio::test]
async fn the_openid_must_match_the_code() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.phone_code("alice", None).unwrap();
    let bob = wechat.simulator.open_id("bob", None).unwrap();
    let alice = wechat.simulator.open_id("alice", None).unwrap();
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": code, "openid": bob})).await),
        40029
    );
    assert_eq!(
        errcode(&exchange(&wechat, json!({"code": code, "openid": alice})).await),
        0
    );
}

#[tokio::test]
async fn malformed_requests_are_rejected() {
    let wechat = TestSimulator::new();
    assert_eq!(errcode(&exchange(&wechat, json!({})).await), 40029);
    assert_eq!(errcode(&exchange(&wechat, json!({"code": 1})).await), 47001);
    let token = wechat.access_token().await;
    let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
    assert_eq!(errcode(&wechat.get(&path).await), 43002);
}
