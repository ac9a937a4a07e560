//! getPhoneNumber.

use serde_json::{Value, json};
use wechat_simulator::UserChange;

use crate::support::{APP, Bench, OTHER_APP, START, errcode};

async fn exchange(bench: &Bench, body: Value) -> Value {
    let token = bench.access_token().await;
    bench
        .post(
            &format!("/wxa/business/getuserphonenumber?access_token={token}"),
            body,
        )
        .await
}

#[tokio::test]
async fn a_phone_code_gives_the_number_with_a_watermark() {
    let bench = Bench::new();
    let phone = UserChange {
        phone: Some("13900001111".to_owned()),
        ..UserChange::default()
    };
    bench.simulator.change_user("alice", phone).unwrap();
    let code = bench.simulator.phone_code("alice", None).unwrap();
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
    assert_eq!(exchange(&bench, json!({"code": code})).await, expected);
}

#[tokio::test]
async fn the_country_code_can_be_a_number() {
    let bench = Bench::new();
    let numeric = UserChange {
        numeric_country_code: Some(true),
        ..UserChange::default()
    };
    bench.simulator.change_user("alice", numeric).unwrap();
    let code = bench.simulator.phone_code("alice", None).unwrap();
    let answer = exchange(&bench, json!({"code": code})).await;
    assert_eq!(answer["phone_info"]["countryCode"], json!(86));
}

#[tokio::test]
async fn a_phone_code_works_once_and_for_five_minutes() {
    let bench = Bench::new();
    let code = bench.simulator.phone_code("alice", None).unwrap();
    let late = bench.simulator.phone_code("alice", None).unwrap();
    assert_eq!(errcode(&exchange(&bench, json!({"code": code})).await), 0);
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": code})).await),
        40029
    );
    bench.pass(300);
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": late})).await),
        40029
    );
}

#[tokio::test]
async fn login_codes_and_phone_codes_are_not_exchangeable() {
    let bench = Bench::new();
    let login = bench.simulator.mint_code("alice", None).unwrap();
    let phone = bench.simulator.phone_code("alice", None).unwrap();
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": login})).await),
        40029
    );
    assert_eq!(errcode(&bench.code_to_session(&phone).await), 40029);
}

#[tokio::test]
async fn a_code_of_another_app_is_refused_by_app() {
    let bench = Bench::new();
    let code = bench
        .simulator
        .phone_code("alice", Some(OTHER_APP))
        .unwrap();
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": code})).await),
        40013
    );
}

#[tokio::test]
async fn code_and_openid_must_belong_together() {
    let bench = Bench::new();
    let code = bench.simulator.phone_code("alice", None).unwrap();
    let bob = bench.simulator.open_id("bob", None).unwrap();
    let alice = bench.simulator.open_id("alice", None).unwrap();
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": code, "openid": bob})).await),
        40029
    );
    assert_eq!(
        errcode(&exchange(&bench, json!({"code": code, "openid": alice})).await),
        0
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let bench = Bench::new();
    assert_eq!(errcode(&exchange(&bench, json!({})).await), 40029);
    assert_eq!(errcode(&exchange(&bench, json!({"code": 1})).await), 47001);
    let token = bench.access_token().await;
    let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
    assert_eq!(errcode(&bench.get(&path).await), 43002);
}
