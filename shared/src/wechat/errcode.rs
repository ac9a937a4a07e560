//! What WeChat's errcodes mean for us.
//!
//! Source: the errcode tables of each API at developers.weixin.qq.com/miniprogram/dev/OpenApiDoc.

use super::WeChatError;

const CREDENTIALS: &str = "check WECHAT_APPIDS and WECHAT_SECRETS against the mini-program's console";

/// The error that `errcode` stands for; 0 is success.
pub(super) fn check(errcode: i64) -> Result<(), WeChatError> {
    let misconfigured = |remedy| Err(WeChatError::Misconfigured { errcode, remedy });
    match errcode {
        0 => Ok(()),
        -1 => Err(WeChatError::Busy),
        40029 => Err(WeChatError::CodeInvalid),
        40163 => Err(WeChatError::CodeUsed),
        40226 => Err(WeChatError::UserBlocked),
        45011 => Err(WeChatError::Throttled),
        40013 | 40125 | 41002 | 41004 => misconfigured(CREDENTIALS),
        // We never send an empty code, so the request was mangled on its way.
        41008 => misconfigured("the code did not arrive; check WECHAT_BASE_URL and what stands in between"),
        40164 => {
            misconfigured("this egress IP is not on the whitelist; route through a fixed egress IP and enter it there")
        }
        other => Err(WeChatError::Unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_documented_errcode_has_its_meaning() {
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(-1), Err(WeChatError::Busy));
        assert_eq!(check(40029), Err(WeChatError::CodeInvalid));
        assert_eq!(check(40163), Err(WeChatError::CodeUsed));
        assert_eq!(check(40226), Err(WeChatError::UserBlocked));
        assert_eq!(check(45011), Err(WeChatError::Throttled));
        for errcode in [40013, 40125, 41002, 41004, 41008, 40164] {
            assert!(matches!(check(errcode), Err(WeChatError::Misconfigured { .. })), "{errcode}");
        }
        assert_eq!(check(99), Err(WeChatError::Unexpected(99)));
    }
}
