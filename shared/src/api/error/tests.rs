use http_body_util::BodyExt;
use serde_json::Value;

use super::*;
use crate::api::{Rule, Success};

async fn parts(response: Response) -> (u16, http::HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status.as_u16(),
        parts.headers,
        serde_json::from_slice(&body).unwrap(),
    )
}

fn in_english<T>(answer: impl FnOnce() -> T) -> impl Future<Output = T> {
    let context = request::Context::new(String::new(), Language::English);
    async move { context.run(async { answer() }).await }
}

#[tokio::test]
async fn a_success_message_is_chinese_by_default() {
    let (status, headers, body) = parts(Success(json!({"a": 1})).into_response()).await;
    assert_eq!(
        (status, body),
        (
            200,
            json!({"code": 200, "message": "操作成功", "data": {"a": 1}})
        )
    );
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_failure_has_the_documented_envelope() {
    let (status, headers, body) = parts(ApiError::new(Reason::TokenExpired).into_response()).await;
    assert_eq!(status, 401);
    assert_eq!(
        body,
        json!({"code": 401, "message": "登录已过期，请刷新登录凭据", "data": null, "reason": "token_expired"})
    );
    assert_eq!(
        headers["www-authenticate"],
        r#"Bearer realm="weapp", error="invalid_token", error_description="the access token expired""#
    );
}

#[tokio::test]
async fn violations_are_listed_in_the_clients_language() {
    let violation = Violation::new("nickname", Rule::Nickname).with_min(2);
    let invalid = || ApiError::invalid(vec![violation]).into_response();
    let (_, _, body) = parts(in_english(invalid).await).await;
    assert_eq!(
        body["data"],
        json!({"fields": [{"field": "nickname", "rule": "nickname", "message": "2 to 32 visible characters"}]})
    );
}

#[tokio::test]
async fn the_cause_never_reaches_the_client() {
    let error = ErrorWithSecret;
    let (_, _, body) = parts(
        ApiError::new(Reason::Internal)
            .because(&error)
            .into_response(),
    )
    .await;
    assert!(!body.to_string().contains("hunter2"));
}

#[derive(Debug, thiserror::Error)]
#[error("hunter2")]
struct ErrorWithSecret;

#[tokio::test]
async fn retry_after_is_whole_seconds_and_never_zero() {
    for (milliseconds, expected) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
        let error =
            ApiError::new(Reason::Unavailable).retry_after(Duration::from_millis(milliseconds));
        assert_eq!(error.into_response().headers()["retry-after"], expected);
    }
}

#[test]
fn reasons_are_unique_and_have_messages_in_both_languages() {
    let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(!reason.message(Language::Chinese).is_ascii(), "{reason:?}");
        assert!(reason.message(Language::English).is_ascii(), "{reason:?}");
        assert!(reason.status().is_client_error() || reason.status().is_server_error());
    }
}
