//! Every failure that a client can see: status, stable reason, message in two languages.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

use super::{ValidationReport, Violation, envelope};
use crate::{
    request::{self, Language},
    telemetry,
};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $status:ident $reason:literal $chinese:literal $english:literal;)*) => {
        /// The stable reasons; clients branch on these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// The stable identifier that clients branch on.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }

            /// The message for users.
            #[must_use]
            pub fn message(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$variant, Language::Chinese) => $chinese,
                      (Self::$variant, Language::English) => $english,)*
                }
            }
        }
    };
}

reasons! {
    /// The request is malformed.
    InvalidRequest = BAD_REQUEST "invalid_request" "请求参数不正确" "The request is not valid";
    /// WeChat 40029.
    CodeInvalid = BAD_REQUEST "code_invalid" "登录凭证无效或已过期，请重新调用 wx.login" "The code is wrong or expired; call wx.login again";
    /// WeChat 40163.
    CodeUsed = BAD_REQUEST "code_used" "登录凭证已被使用，请重新调用 wx.login" "The code was used before; call wx.login again";
    /// WeChat 40029 of getPhoneNumber.
    PhoneCodeInvalid = BAD_REQUEST "phone_code_invalid" "手机号授权凭证无效或已过期，请重新点击按钮授权" "The phone code is wrong or expired; tap the phone number button again";
    /// `msg_sec_check` returned `risky`.
    ContentRisky = BAD_REQUEST "content_risky" "内容含有违规信息，请修改后重试" "The content is not acceptable; change it and try again";
    /// What was uploaded is not the picture that it was told to be.
    UploadInvalid = BAD_REQUEST "upload_invalid" "上传的图片无效，请重新选择" "The upload is not a usable picture; choose another one";
    /// WeChat does not know the page of a code or link, or refuses its scene or query.
    TargetInvalid = BAD_REQUEST "target_invalid" "微信不接受该页面路径或参数" "WeChat does not accept this page, scene or query";
    /// One reason for every defect of a ciphertext, so that no oracle arises.
    DecryptFailed = BAD_REQUEST "decrypt_failed" "数据解密失败" "The data can't be decrypted";
    /// No access token.
    TokenMissing = UNAUTHORIZED "token_missing" "请先登录" "Log in first";
    /// An access token that was not issued here.
    TokenInvalid = UNAUTHORIZED "token_invalid" "登录凭据无效，请重新登录" "The access token is not valid; log in again";
    /// An access token that has expired.
    TokenExpired = UNAUTHORIZED "token_expired" "登录已过期，请刷新登录凭据" "The access token has expired; refresh it";
    /// The session was ended.
    SessionRevoked = UNAUTHORIZED "session_revoked" "登录已失效，请重新登录" "The session has ended; log in again";
    /// A refresh token that was not issued here.
    RefreshInvalid = UNAUTHORIZED "refresh_invalid" "刷新凭据无效，请重新登录" "The refresh token is not valid; log in again";
    /// A refresh token that was used before.
    RefreshReused = UNAUTHORIZED "refresh_reused" "刷新凭据已被使用，为安全起见请重新登录" "The refresh token was used before; log in again";
    /// The caller is not an administrator.
    Forbidden = FORBIDDEN "forbidden" "没有权限" "Not allowed";
    /// An administrator would take away their own rights.
    OwnRights = FORBIDDEN "own_rights" "不能停用自己，也不能取消自己的管理员角色" "Administrators can't disable themselves or give up their own role";
    /// The account is disabled.
    UserDisabled = FORBIDDEN "user_disabled" "账号已被停用" "The account is disabled";
    /// WeChat 40226.
    UserBlocked = FORBIDDEN "user_blocked" "该微信账号存在风险，登录被拒绝" "WeChat blocks this account as high-risk";
    /// No such route or resource.
    NotFound = NOT_FOUND "not_found" "资源不存在" "Not found";
    /// The route has no such method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "请求方法不被允许" "Method not allowed";
    /// The client did not send its request in time.
    RequestTimeout = REQUEST_TIMEOUT "request_timeout" "请求发送超时，请重试" "The request did not arrive in time; send it again";
    /// Another version was written first.
    Conflict = CONFLICT "conflict" "数据已被修改，请刷新后重试" "Changed by someone else; reload and try again";
    /// The phone number belongs to another user.
    PhoneTaken = CONFLICT "phone_taken" "该手机号已绑定其他账号" "The phone number is bound to another account";
    /// A ticket to resolve a conflict about a phone number.
    TicketInvalid = CONFLICT "ticket_invalid" "操作凭证无效或已过期，请重新授权手机号" "The ticket is no longer valid; share the phone number again";
    /// An identity or phone number of a new user belongs to another user.
    UserExists = CONFLICT "user_exists" "该微信身份或手机号已属于其他用户" "An identity or the phone number belongs to another user";
    /// The account is barred, to be deleted.
    AccountDeletionPending = CONFLICT "account_deletion_pending" "账号正在注销，冷静期内可撤销注销" "The account is being deleted; until then it can be called back";
    /// An idempotency key names another request already.
    IdempotencyKeyReused = CONFLICT "idempotency_key_reused" "该幂等键已用于其他请求" "This idempotency key was used for another request";
    /// The user is not known in the mini-program.
    UserUnreachable = CONFLICT "user_unreachable" "该用户未登录过此小程序，无法发送" "The user is not known in this mini-program";
    /// Nothing was uploaded with the form yet.
    UploadMissing = CONFLICT "upload_missing" "图片尚未上传，请先上传再确认" "Nothing was uploaded yet; upload first, then confirm";
    /// WeChat replaced the `session_key`.
    SessionKeyStale = CONFLICT "session_key_stale" "微信会话已更新，请重新登录后重试" "WeChat replaced the session key; log in again, then retry";
    /// `If-Match` names another version.
    VersionMismatch = PRECONDITION_FAILED "version_mismatch" "数据已被修改，请重新读取" "Changed by someone else; read it again";
    /// More than [`super::MAX_BODY`].
    BodyTooLarge = PAYLOAD_TOO_LARGE "body_too_large" "请求内容过大" "The body is too large";
    /// The path and query are longer than a server takes.
    UriTooLong = URI_TOO_LONG "uri_too_long" "请求地址过长" "The path or query is too long";
    /// The content type is not JSON.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "请使用 application/json" "Use application/json";
    /// Too many requests.
    RateLimited = TOO_MANY_REQUESTS "rate_limited" "请求过于频繁，请稍后再试" "Too many requests; try again later";
    /// The headers are more, or longer, than a server takes.
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "headers_too_large" "请求头过大" "The headers are too large";
    /// A bug or a panic, caught.
    Internal = INTERNAL_SERVER_ERROR "internal" "服务器内部错误" "Internal error";
    /// A part that this route needs is not set up.
    NotConfigured = NOT_IMPLEMENTED "not_configured" "该功能未启用" "This is not set up here";
    /// WeChat failed in a way that has no reason of its own.
    UpstreamError = BAD_GATEWAY "upstream_error" "微信服务返回异常" "WeChat answered unexpectedly";
    /// WeChat's quota of the day is used up.
    QuotaExceeded = SERVICE_UNAVAILABLE "quota_exceeded" "今日微信接口额度已用完，请明天再试" "WeChat's quota of the day is used up; try again tomorrow";
    /// A store or WeChat is down, or this service is overloaded.
    Unavailable = SERVICE_UNAVAILABLE "unavailable" "服务暂不可用，请稍后再试" "Temporarily unavailable; try again later";
    /// The deadline passed.
    UpstreamTimeout = GATEWAY_TIMEOUT "upstream_timeout" "请求超时，请稍后再试" "Timed out; try again later";
}

/// A failure as the client sees it. Its cause goes to the log only.
#[derive(Debug)]
pub struct ApiError {
    reason: Reason,
    violations: Vec<Violation>,
    data: Value,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

impl ApiError {
    /// A failure for `reason`.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        // Some reasons invite a retry, so they say after how long.
        let retry_after = matches!(reason, Reason::Unavailable | Reason::RateLimited)
            .then_some(Duration::from_secs(1));
        Self {
            reason,
            violations: Vec::new(),
            data: Value::Null,
            retry_after,
            cause: None,
        }
    }

    /// A body that broke rules.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self {
            violations,
            ..Self::new(Reason::InvalidRequest)
        }
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: &dyn std::error::Error) -> Self {
        self.cause = Some(telemetry::describe(cause));
        self
    }

    /// Sets `data`, which is `null` otherwise: for a report about the failure.
    #[must_use]
    pub fn with_data<T: serde::Serialize>(mut self, data: &T) -> Self {
        self.data = serde_json::to_value(data).unwrap_or_default();
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// RFC 6750 §3: without an error where no token was sent.
    fn challenge(&self) -> Option<&'static str> {
        match self.reason {
            Reason::TokenMissing => Some(r#"Bearer realm="weapp""#),
            Reason::TokenInvalid => Some(
                r#"Bearer realm="weapp", error="invalid_token", error_description="not a valid access token""#,
            ),
            Reason::TokenExpired => Some(
                r#"Bearer realm="weapp", error="invalid_token", error_description="the access token expired""#,
            ),
            Reason::SessionRevoked => Some(
                r#"Bearer realm="weapp", error="invalid_token", error_description="the session has ended""#,
            ),
            Reason::RefreshInvalid | Reason::RefreshReused => Some(
                r#"Bearer realm="weapp", error="invalid_token", error_description="the refresh token is not usable""#,
            ),
            Reason::Forbidden => Some(r#"Bearer realm="weapp", error="insufficient_scope""#),
            _ => None,
        }
    }
}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let challenge = self.challenge();
        let Self {
            reason,
            violations,
            data,
            retry_after,
            cause,
        } = self;
        request::note(|notes| (notes.reason, notes.cause) = (Some(reason.as_str()), cause));
        let language = request::language();
        let data = if violations.is_empty() {
            data
        } else {
            json!(ValidationReport::new(&violations, language))
        };
        let mut response = envelope::failure(
            reason.status(),
            reason.message(language),
            reason.as_str(),
            data,
        );
        let headers = response.headers_mut();
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(after));
        }
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// Rounded up: a client that retries too early is rejected again (RFC 9110 §10.2.3).
fn whole_seconds(after: Duration) -> HeaderValue {
    HeaderValue::from(
        u32::try_from(after.as_millis().div_ceil(1000))
            .unwrap_or(u32::MAX)
            .max(1),
    )
}

mod conversions;

#[cfg(test)]
mod tests;
