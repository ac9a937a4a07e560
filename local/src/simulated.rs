//! The simulated WeChat beside the API: whose requests control it, and that a developer is told of it where that
//! explains a failure.

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header::CONTENT_LENGTH},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use shared::{
    api::{Reason, preferred_language},
    request::Language,
};

use crate::own_page::may_control;

/// The failures of a code that the simulator does not know, such as every code of the real WeChat.
const UNKNOWN_CODES: [Reason; 2] = [Reason::CodeInvalid, Reason::PhoneCodeInvalid];
/// More than any envelope of a failure, in bytes.
const MAX_ENVELOPE: usize = 64 * 1024;

const CHINESE: &str = "（微信为本地模拟，不认识真实小程序的 code：请设置 WECHAT_APPIDS 和 WECHAT_SECRETS 以使用真实微信，或从 /_wechat/_control 获取模拟的 code）";
const ENGLISH: &str = " (WeChat is simulated here and does not know codes of a real mini-program: set WECHAT_APPIDS and WECHAT_SECRETS to use the real WeChat, or get a simulated code from /_wechat/_control)";

/// Where the simulator is controlled.
const CONTROL: &str = "/_control/";

/// The simulator, whose controls no page on the web can use: its signed pushes delete accounts, and its codes
/// log anybody in.
pub(crate) fn guarded(simulator: Router) -> Router {
    simulator.layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(CONTROL) && !may_control(request.headers()) {
        let error = "not from a page on the web, nor by a name of the public DNS";
        return (StatusCode::FORBIDDEN, Json(json!({"error": error}))).into_response();
    }
    next.run(request).await
}

/// `app` with an explanation in the message of each failure that a real code gets, and in the log:
/// "call wx.login again" alone would send a developer round in circles.
pub(crate) fn explained(app: Router) -> Router {
    app.layer(middleware::from_fn(explain))
}

async fn explain(request: Request, next: Next) -> Response {
    let language = preferred_language(request.headers());
    let response = next.run(request).await;
    if response.status() != StatusCode::BAD_REQUEST {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ENVELOPE).await.unwrap_or_default();
    let Some(explained) = with_hint(&body, language) else {
        return Response::from_parts(parts, body.into());
    };
    tracing::warn!(
        "a code was refused: WeChat is simulated and does not know codes of a real mini-program; set WECHAT_APPIDS and WECHAT_SECRETS to use the real WeChat"
    );
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(explained))
}

/// The envelope with the hint behind its message, if it is one about an unknown code.
fn with_hint(body: &[u8], language: Language) -> Option<String> {
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let reason = envelope.get("reason")?.as_str()?;
    if !UNKNOWN_CODES
        .iter()
        .any(|unknown| unknown.as_str() == reason)
    {
        return None;
    }
    let hint = match language {
        Language::Chinese => CHINESE,
        Language::English => ENGLISH,
    };
    let message = envelope.get("message")?.as_str()?;
    // In place, so that the fields keep their order.
    let (old, new) = (json!(message), json!(format!("{message}{hint}")));
    let body = str::from_utf8(body).ok()?;
    Some(body.replacen(&old.to_string(), &new.to_string(), 1))
}
