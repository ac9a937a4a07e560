//! WeChat's error codes and their messages.

use crate::protocol::ids::is_simulated_code;

/// An error that WeChat returns: `errcode` and `errmsg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: i32,
    pub(crate) message: &'static str,
}

macro_rules! errcodes {
    ($($name:ident = $code:literal, $message:literal;)*) => {
        $(pub(crate) const $name: ApiError = ApiError { code: $code, message: $message };)*
        const ALL: &[ApiError] = &[$($name),*];
    };
}

errcodes! {
    SYSTEM_ERROR = -1, "system error";
    INVALID_CREDENTIAL = 40001, "invalid credential, access_token is invalid or not latest";
    INVALID_GRANT_TYPE = 40002, "invalid grant_type";
    INVALID_OPENID = 40003, "invalid openid";
    INVALID_MEDIA_ID = 40007, "invalid media_id";
    INVALID_MESSAGE_TYPE = 40008, "invalid message type";
    INVALID_APPID = 40013, "invalid appid";
    INVALID_ACCESS_TOKEN = 40014, "invalid access_token";
    INVALID_CODE = 40029, "invalid code";
    INVALID_TEMPLATE_ID = 40037, "invalid template_id";
    INVALID_URL = 40066, "invalid url";
    INVALID_ARGS = 40097, "invalid args";
    INVALID_APPSECRET = 40125, "invalid appsecret";
    INVALID_SCENE = 40129, "invalid scene";
    CODE_BEEN_USED = 40163, "code been used";
    IP_NOT_IN_WHITELIST = 40164, "invalid ip, not in whitelist";
    INVALID_PATH = 40165, "invalid weapp pagepath";
    INVALID_SCENE_LENGTH = 40169, "invalid length for scene, or the data is not json string";
    INVALID_QUERY = 40212, "invalid query";
    CODE_BLOCKED = 40226, "code blocked";
    ACCESS_TOKEN_MISSING = 41001, "access_token missing";
    APPID_MISSING = 41002, "appid missing";
    APPSECRET_MISSING = 41004, "appsecret missing";
    CODE_MISSING = 41008, "missing code";
    OPENID_MISSING = 41009, "missing openid";
    INVALID_PAGE = 41030, "invalid page";
    ACCESS_TOKEN_EXPIRED = 42001, "access_token expired";
    GET_REQUIRED = 43001, "require GET method";
    POST_REQUIRED = 43002, "require POST method";
    USER_REFUSES = 43101, "user refuse to accept the msg";
    EMPTY_POST_DATA = 44002, "empty post data";
    EMPTY_CONTENT = 44004, "empty content";
    SEC_CHECK_LIMIT = 44991, "out of minute call limit";
    CONTENT_TOO_LONG = 45002, "content size out of limit";
    DAILY_LIMIT = 45009, "reach max api daily quota limit";
    MINUTE_LIMIT = 45011, "api minute-quota reach limit, must slower, retry next minute";
    REPLY_TIME_LIMIT = 45015, "response out of time limit or subscription is canceled";
    REPLY_COUNT_LIMIT = 45047, "out of response count limit";
    DATA_FORMAT = 47001, "data format error";
    INVALID_TEMPLATE_DATA = 47003, "argument invalid";
    NOT_RECENTLY_ACTIVE = 61010, "code is expired";
    NO_SESSION_KEY = 87007, "session_key is not existed or expired";
    INVALID_SIG_METHOD = 87008, "invalid sig_method";
    INVALID_SIGNATURE = 87009, "invalid signature";
    RESERVED_SCENE = 85096, "not allow include scancode_time field";
    INVALID_EXPIRY = 85401, "invalid expire_time";
    INVALID_VERSION = 85402, "invalid env_version";
    IP_NEEDS_CONFIRMATION = 89503, "ip needs confirmation of the administrator";
}

/// [`INVALID_CODE`], for a code that the real WeChat made.
pub(crate) const FOREIGN_CODE: ApiError = ApiError {
    message: "invalid code: WeChat is simulated here, and this code is not one of the simulator",
    ..INVALID_CODE
};

impl ApiError {
    /// The error for a code that is not known.
    pub(crate) fn unknown_code(code: &str) -> Self {
        if is_simulated_code(code) {
            INVALID_CODE
        } else {
            FOREIGN_CODE
        }
    }

    /// The error for a fault's errcode, which need not be a known one.
    pub(crate) fn with_code(code: i32) -> Self {
        let known = ALL.iter().find(|error| error.code == code);
        known.copied().unwrap_or(Self {
            code,
            message: "simulated error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_has_its_documented_message() {
        assert_eq!(ApiError::with_code(40163), CODE_BEEN_USED);
        assert_eq!(ApiError::with_code(12345).message, "simulated error");
    }
}
