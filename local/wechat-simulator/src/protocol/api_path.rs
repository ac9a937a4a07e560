//! The APIs that are simulated, and their paths.

/// One of WeChat's APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    CodeToSession,
    StableToken,
    Token,
    PhoneNumber,
    CheckSession,
    ResetSessionKey,
    EncryptKeys,
    SecCheck,
    MediaCheck,
    SubscribeMessage,
    CustomMessage,
    WxaCode,
    UrlLink,
}

impl Api {
    pub(crate) const ALL: [Self; 13] = [
        Self::CodeToSession,
        Self::StableToken,
        Self::Token,
        Self::PhoneNumber,
        Self::CheckSession,
        Self::ResetSessionKey,
        Self::EncryptKeys,
        Self::SecCheck,
        Self::MediaCheck,
        Self::SubscribeMessage,
        Self::CustomMessage,
        Self::WxaCode,
        Self::UrlLink,
    ];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::CodeToSession => "/sns/jscode2session",
            Self::StableToken => "/cgi-bin/stable_token",
            Self::Token => "/cgi-bin/token",
            Self::PhoneNumber => "/wxa/business/getuserphonenumber",
            Self::CheckSession => "/wxa/checksession",
            Self::ResetSessionKey => "/wxa/resetusersessionkey",
            Self::EncryptKeys => "/wxa/business/getuserencryptkey",
            Self::SecCheck => "/wxa/msg_sec_check",
            Self::MediaCheck => "/wxa/media_check_async",
            Self::SubscribeMessage => "/cgi-bin/message/subscribe/send",
            Self::CustomMessage => "/cgi-bin/message/custom/send",
            Self::WxaCode => "/wxa/getwxacodeunlimit",
            Self::UrlLink => "/wxa/generate_urllink",
        }
    }
}
