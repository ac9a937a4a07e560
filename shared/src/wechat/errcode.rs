//! Maps WeChat's errcodes to errors, with one function for each family of APIs.
//!
//! Source: the errcode tables of each API at developers.weixin.qq.com/miniprogram/dev/OpenApiDoc.

use super::WeChatError;

const CREDENTIALS: &str =
    "check WECHAT_APPIDS and WECHAT_SECRETS against the mini-program's console";
// Every parameter is always sent, so the request was altered in transit.
const MISSING_PARAMETER: &str =
    "a parameter is missing on arrival; check WECHAT_BASE_URL and any proxy in between";
const WHITELIST: &str = "this egress IP is not on the whitelist; route through a fixed egress IP and enter it in the console";
const CONFIRM: &str =
    "the mini-program's administrator has to confirm this egress IP (a message was sent by WeChat)";
const PERMISSION: &str =
    "the mini-program has no permission for this API; apply for it in the console";
const BANNED: &str = "WeChat has taken this ability from the mini-program; the console says why";
const UNPUBLISHED: &str =
    "the mini-program has no published version; publish one, or name another version";

/// code2Session.
pub(super) fn code_to_session(errcode: i64) -> WeChatError {
    match errcode {
        40029 => WeChatError::CodeInvalid,
        40163 => WeChatError::CodeUsed,
        40226 => WeChatError::UserBlocked,
        errcode => common(errcode),
    }
}

/// `getStableAccessToken`.
pub(super) fn access_token(errcode: i64) -> WeChatError {
    common(errcode)
}

/// getPhoneNumber: its codes are not those of `wx.login`.
pub(super) fn phone_number(errcode: i64) -> WeChatError {
    match errcode {
        // 40013: the code was issued to another mini-program (the access token identifies the
        // caller, so our AppID is not the cause). 40003: the code was issued to another user than
        // the openid.
        40003 | 40013 | 40029 | 40163 => WeChatError::PhoneCodeInvalid,
        errcode => with_access_token(errcode),
    }
}

/// checkSessionKey, resetUserSessionKey, getUserEncryptKey: all prove possession of the
/// `session_key`.
pub(super) fn session_key(errcode: i64) -> WeChatError {
    match errcode {
        // 87007: WeChat no longer has a key for this user. 87009: the signature is wrong, so our
        // key is not the current one.
        87007 | 87009 => WeChatError::SessionKeyStale,
        errcode => with_access_token(errcode),
    }
}

/// msgSecCheck.
pub(super) fn content_check(errcode: i64) -> WeChatError {
    match errcode {
        61010 => WeChatError::UserInactive,
        errcode => with_access_token(errcode),
    }
}

/// sendMessage of subscribe messages.
pub(super) fn subscribe_message(errcode: i64) -> WeChatError {
    match errcode {
        43101 => WeChatError::NotSubscribed,
        // The openid, the template, arguments, the page, the JSON, the template's data, a sensitive word.
        40003 | 40037 | 40097 | 41030 | 47001 | 47003 | 45168 => {
            WeChatError::MessageInvalid(errcode)
        }
        43107 => misconfigured(errcode, BANNED),
        // Another message to the same user is being sent.
        43108 => WeChatError::Throttled,
        errcode => with_access_token(errcode),
    }
}

/// sendCustomMessage.
pub(super) fn custom_message(errcode: i64) -> WeChatError {
    match errcode {
        45015 => WeChatError::ReplyWindowClosed,
        45047 => WeChatError::TooManyReplies,
        // The openid, the file's type and id, the message's type, a URL, arguments, an empty or too long
        // content, the JSON.
        40003 | 40004 | 40007 | 40008 | 40066 | 40097 | 44004 | 45002 | 47001 => {
            WeChatError::MessageInvalid(errcode)
        }
        errcode => with_access_token(errcode),
    }
}

/// getUnlimitedQRCode.
pub(super) fn code(errcode: i64) -> WeChatError {
    match errcode {
        // Arguments, the scene's characters and length, the page, a time in the scene.
        40097 | 40129 | 40169 | 41030 | 85096 => WeChatError::TargetInvalid(errcode),
        // Here it is the limit per minute.
        45009 => WeChatError::Throttled,
        errcode => with_access_token(errcode),
    }
}

/// generateUrlLink.
pub(super) fn link(errcode: i64) -> WeChatError {
    match errcode {
        // Arguments, the path, the query, the expiry, the version.
        40097 | 40165 | 40212 | 41030 | 85401 | 85402 => WeChatError::TargetInvalid(errcode),
        44990 => WeChatError::Throttled,
        // The access token identifies the caller, so our AppID is not the cause.
        40002 => misconfigured(errcode, PERMISSION),
        40013 => misconfigured(errcode, BANNED),
        85079 => misconfigured(errcode, UNPUBLISHED),
        errcode => with_access_token(errcode),
    }
}

/// Calls that carry an access token.
fn with_access_token(errcode: i64) -> WeChatError {
    match errcode {
        40001 | 40014 | 42001 => WeChatError::AccessTokenStale(errcode),
        errcode => common(errcode),
    }
}

/// The errcodes with the same meaning in every API.
fn common(errcode: i64) -> WeChatError {
    match errcode {
        -1 => WeChatError::Busy,
        // 44991 is msgSecCheck's variant of 45011.
        44991 | 45011 => WeChatError::Throttled,
        45009 => WeChatError::QuotaExceeded,
        40013 | 40125 | 41002 | 41004 => misconfigured(errcode, CREDENTIALS),
        41001 | 41008 | 41009 => misconfigured(errcode, MISSING_PARAMETER),
        40164 => misconfigured(errcode, WHITELIST),
        89503 | 89506 | 89507 => misconfigured(errcode, CONFIRM),
        48001 => misconfigured(errcode, PERMISSION),
        other => WeChatError::Unexpected(other),
    }
}

fn misconfigured(errcode: i64, remedy: &'static str) -> WeChatError {
    WeChatError::Misconfigured {
        errcode,
        remedy,
        address: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [fn(i64) -> WeChatError; 9] = [
        code_to_session,
        access_token,
        phone_number,
        session_key,
        content_check,
        subscribe_message,
        custom_message,
        code,
        link,
    ];

    #[test]
    fn code2session_errcodes_distinguish_invalid_and_used_codes() {
        assert_eq!(code_to_session(40029), WeChatError::CodeInvalid);
        assert_eq!(code_to_session(40163), WeChatError::CodeUsed);
        assert_eq!(code_to_session(40226), WeChatError::UserBlocked);
        for errcode in [40013, 40125, 41002, 41004, 41008] {
            assert!(
                matches!(code_to_session(errcode), WeChatError::Misconfigured { .. }),
                "{errcode}"
            );
        }
    }

    #[test]
    fn a_rejected_access_token_request_is_a_misconfiguration() {
        for errcode in [40013, 40125, 40164, 89503, 89506, 89507] {
            assert!(
                matches!(access_token(errcode), WeChatError::Misconfigured { .. }),
                "{errcode}"
            );
        }
        // The request carries no access token, so none can be stale.
        assert_eq!(access_token(40001), WeChatError::Unexpected(40001));
    }

    #[test]
    fn a_phone_code_is_not_a_login_code() {
        for errcode in [40029, 40163, 40013, 40003] {
            assert_eq!(
                phone_number(errcode),
                WeChatError::PhoneCodeInvalid,
                "{errcode}"
            );
        }
    }

    #[test]
    fn a_rejected_signature_means_a_stale_session_key() {
        for errcode in [87007, 87009] {
            assert_eq!(session_key(errcode), WeChatError::SessionKeyStale);
        }
        // A wrong sig_method is a bug of ours.
        assert_eq!(session_key(87008), WeChatError::Unexpected(87008));
    }

    #[test]
    fn a_text_can_only_be_checked_for_an_active_user() {
        assert_eq!(content_check(61010), WeChatError::UserInactive);
        assert_eq!(content_check(44991), WeChatError::Throttled);
    }

    #[test]
    fn three_errcodes_mean_a_stale_access_token() {
        for api in &FAMILIES[2..] {
            for errcode in [40001, 40014, 42001] {
                assert_eq!(api(errcode), WeChatError::AccessTokenStale(errcode));
            }
        }
    }

    #[test]
    fn a_user_who_has_not_agreed_gets_no_message() {
        assert_eq!(subscribe_message(43101), WeChatError::NotSubscribed);
        assert_eq!(custom_message(45015), WeChatError::ReplyWindowClosed);
        assert_eq!(custom_message(45047), WeChatError::TooManyReplies);
        assert_eq!(custom_message(43101), WeChatError::Unexpected(43101));
    }

    #[test]
    fn a_message_that_can_never_be_sent_is_invalid() {
        for errcode in [40003, 40037, 41030, 47001, 47003] {
            let expected = WeChatError::MessageInvalid(errcode);
            assert_eq!(subscribe_message(errcode), expected);
        }
        for errcode in [40003, 40007, 40008, 45002, 47001] {
            let expected = WeChatError::MessageInvalid(errcode);
            assert_eq!(custom_message(errcode), expected);
        }
    }

    #[test]
    fn a_code_or_link_that_leads_nowhere_is_invalid() {
        for errcode in [40097, 40129, 41030] {
            assert_eq!(code(errcode), WeChatError::TargetInvalid(errcode));
        }
        for errcode in [40165, 40212, 85401, 85402] {
            assert_eq!(link(errcode), WeChatError::TargetInvalid(errcode));
        }
        for errcode in [40002, 40013, 85079] {
            assert!(matches!(link(errcode), WeChatError::Misconfigured { .. }));
        }
    }

    #[test]
    fn the_quota_of_codes_is_one_per_minute() {
        assert_eq!(code(45009), WeChatError::Throttled);
        assert_eq!(link(44990), WeChatError::Throttled);
        let others = FAMILIES.map(|api| api(45009));
        let daily = others
            .iter()
            .filter(|error| **error == WeChatError::QuotaExceeded);
        assert_eq!(daily.count(), FAMILIES.len() - 1);
    }

    #[test]
    fn common_errcodes_mean_the_same_in_every_family() {
        for api in FAMILIES {
            assert_eq!(api(-1), WeChatError::Busy);
            assert_eq!(api(45011), WeChatError::Throttled);
            assert!(matches!(api(40164), WeChatError::Misconfigured { .. }));
            assert_eq!(api(99), WeChatError::Unexpected(99));
        }
    }
}
