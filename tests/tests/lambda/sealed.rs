//! Sealed bodies through API Gateway.

use base64::{Engine, prelude::BASE64_STANDARD};
use e2e::{
    events::HttpApi,
    http::Answer,
    runtime_api::FunctionUnderTest,
    sealed::{Sealed, Sealer},
    test_app::Tokens,
};
use serde_json::{Value, json};
use shared::{clock::Clock, crypto::jwe::Form};

use crate::harness::LambdaHarness;

const LOGIN: (&str, &str) = ("POST", "/api/v1/user/login");

fn now() -> i64 {
    Clock::System.now_seconds()
}

/// API Gateway encodes a body whose type it does not know as text, and decodes an answer that says
/// so.
async fn invoke(
    function: &FunctionUnderTest,
    client: &Sealer,
    sealed: &Sealed,
    encoded: bool,
) -> Answer {
    let mut event = HttpApi::new(LOGIN.0, LOGIN.1)
        .header("content-type", client.media_type())
        .event();
    let body = if encoded {
        BASE64_STANDARD.encode(&sealed.jwe)
    } else {
        sealed.jwe.clone()
    };
    (event["body"], event["isBase64Encoded"]) = (body.into(), encoded.into());
    let response = function.invoke(&event).await;
    let text = response["body"].as_str().unwrap();
    let is_encoded = response["isBase64Encoded"].as_bool().unwrap();
    let body = if is_encoded {
        BASE64_STANDARD.decode(text).unwrap()
    } else {
        text.as_bytes().to_vec()
    };
    let status = response["statusCode"].as_u64().unwrap().try_into().unwrap();
    client.open(sealed, status, headers(&response), &body)
}

fn headers(response: &Value) -> reqwest::header::HeaderMap {
    let mut headers = reqwest::header::HeaderMap::new();
    for (name, value) in response["headers"].as_object().unwrap() {
        let name: reqwest::header::HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    headers
}

#[tokio::test]
async fn a_sealed_login_passes_api_gateway_in_both_directions() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let mut client = Sealer::with_kit_key();
    for (form, encoded) in [
        (Form::Compact, true),
        (Form::Compact, false),
        (Form::Flattened, false),
    ] {
        client.form = form;
        let sealed = client.seal(
            &client.header(now(), LOGIN.0, LOGIN.1),
            &json!({"code": harness.code("alice")}),
        );
        Tokens::of(&invoke(&login, &client, &sealed, encoded).await);
    }
}

#[tokio::test]
async fn a_sealed_body_is_opened_only_under_the_token_that_it_was_sealed_for() {
    let harness = LambdaHarness::start().await;
    let [login, user_info] = ["login", "user-info"].map(|name| harness.function(name));
    let (alice, mallory) = (
        harness.log_in(&login, "alice").await,
        harness.log_in(&login, "mallory").await,
    );
    let (client, info) = (Sealer::with_kit_key(), "/api/v1/user/info");
    let header = client.header(now(), "PATCH", info);
    let sealed = client.seal(
        &header.clone().for_token(&alice.access),
        &json!({"nickname": "小明"}),
    );
    let unbound = client.seal(&header, &json!({"nickname": "小红"}));
    let send = async |sealed: &Sealed, token: &str| {
        let mut event = HttpApi::new("PATCH", info)
            .header("content-type", "application/jose")
            .bearer(token)
            .event();
        event["body"] = sealed.jwe.as_str().into();
        let response = user_info.invoke(&event).await;
        response["statusCode"].as_u64().unwrap()
    };
    assert_eq!(send(&sealed, &mallory.access).await, 400);
    assert_eq!(send(&unbound, &alice.access).await, 400);
    assert_eq!(send(&sealed, &alice.access).await, 200);
    assert_eq!(send(&sealed, &alice.access).await, 400);
}

#[tokio::test]
async fn a_sealed_path_may_include_the_named_stage() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let client = Sealer::with_kit_key();
    for (htu, status) in [
        ("/prod/api/v1/user/login", 200),
        ("/api/v1/user/login", 200),
        ("/test/api/v1/user/login", 400),
    ] {
        let sealed = client.seal(
            &client.header(now(), "POST", htu),
            &json!({"code": harness.code("alice")}),
        );
        let mut event = HttpApi::new("POST", "/prod/api/v1/user/login")
            .header("content-type", "application/jose")
            .event();
        event["requestContext"]["stage"] = "prod".into();
        event["body"] = sealed.jwe.into();
        assert_eq!(login.invoke(&event).await["statusCode"], status, "{htu}");
    }
}
