use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use axum::response::IntoResponse;

#[derive(Debug)]
struct Sample(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    name: String,
    #[serde(default, rename = "count")]
    _count: crate::api::Optional<u8>,
}

impl Input for Sample {
    type Raw = RawSample;

    fn parse(raw: RawSample, checks: &mut Checks) -> Option<Self> {
        checks
            .field(
                "name",
                Rule::Nickname,
                Some(raw.name).filter(|name| name.len() > 1),
            )
            .map(Self)
    }
}

async fn read(content_type: &str, body: impl Into<Body>) -> Result<Sample, ApiError> {
    let request = Request::builder()
        .header(CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap();
    Json::<Sample>::from_request(request, &())
        .await
        .map(|json| json.0)
}

async fn violations(body: impl Into<Body>) -> Value {
    let response = read("application/json", body)
        .await
        .expect_err("refused")
        .into_response();
    assert_eq!(response.status(), 400);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    body["data"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| json!([field["field"], field["rule"]]))
        .collect()
}

#[tokio::test]
async fn each_violation_names_its_field_and_rule() {
    let deep = "[".repeat(50_000);
    let cases: [(&[u8], Value); 15] = [
        (b"", json!([["", "json"]])),
        (b"{", json!([["", "json"]])),
        (b"{\"name\":\"ab\"} x", json!([["", "json"]])),
        (b"nonsense", json!([["", "json"]])),
        (b"{\"name\":\"\xff\xfe\"}", json!([["", "json"]])),
        (b"{\"name\":\"\\ud800\"}", json!([["", "json"]])),
        (deep.as_bytes(), json!([["", "type"]])),
        (b" [\"ab\"]", json!([["", "type"]])),
        (b"{}", json!([["name", "required"]])),
        (b"{\"name\":1}", json!([["name", "type"]])),
        (b"{\"name\":null}", json!([["name", "type"]])),
        (
            b"{\"name\":\"ab\",\"count\":null}",
            json!([["count", "type"]]),
        ),
        (
            b"{\"name\":\"ab\",\"count\":-1}",
            json!([["count", "type"]]),
        ),
        (
            b"{\"name\":\"ab\",\"name\":\"cd\"}",
            json!([["name", "duplicate_field"]]),
        ),
        (
            b"{\"name\":\"ab\",\"other\":1}",
            json!([["other", "unknown_field"]]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(
            violations(body.to_vec()).await,
            expected,
            "{:?}",
            String::from_utf8_lossy(&body[..body.len().min(60)])
        );
    }
}

#[tokio::test]
async fn an_error_never_quotes_the_clients_value() {
    let response = read("application/json", r#"{"name":12345678}"#)
        .await
        .expect_err("refused")
        .into_response();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("12345678"));
}

#[tokio::test]
async fn only_json_media_types_are_accepted() {
    for good in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.api+json",
    ] {
        assert_eq!(read(good, r#"{"name":"ab"}"#).await.unwrap().0, "ab");
    }
    for bad in [
        "text/plain",
        "",
        "application/jsonp",
        "text/json",
        "application/x-www-form-urlencoded",
    ] {
        assert_eq!(
            read(bad, r#"{"name":"ab"}"#).await.unwrap_err().reason(),
            Reason::UnsupportedMediaType,
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn no_input_causes_a_500(content_type in "[ -~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..2000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for content_type in [content_type.as_str(), "application/json"] {
            if let Err(error) = runtime.block_on(read(content_type, body.clone())) {
                prop_assert!(error.reason().status().is_client_error());
            }
        }
    }

    #[test]
    fn no_valid_json_causes_a_500(name in ".*", other in ".*", number: f64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = json!({"name": name, other: number}).to_string();
        if let Err(error) = runtime.block_on(read("application/json", body)) {
            prop_assert!(error.reason().status().is_client_error());
        }
    }
}
