//! Rate limits.

use std::time::Duration;

use crate::{
    config::{Env, Setting, Text},
    settings,
};

/// What a limit looks like.
const WANTED: &str = "such as `120/min burst 40`, `120/min burst 40 shadow`, or `off`";

settings! {
    /// The settings of rate limits.
    pub DOCUMENTED in RateLimits;

    pub(crate) RATE_LIMIT_LOGIN: Text = Text::new("300/min burst 100", WANTED),
        "logins of one client address",
        "同一客户端地址的登录次数",
        wanted_zh("如 `120/min burst 40`、`120/min burst 40 shadow` 或 `off`");
    pub(crate) RATE_LIMIT_LOGIN_FAILURES: Text = Text::new("30/min burst 30", WANTED),
        "logins of one client address whose code WeChat refuses; above it they are answered 429, while logins with good codes go on",
        "同一客户端地址上 code 被微信拒绝的登录次数；超过后这类登录返回 429，code 有效的登录不受影响",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_USER: Text = Text::new("120/min burst 40", WANTED),
        "requests of one signed-in user",
        "同一登录用户的请求次数",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_REFRESH: Text = Text::new("30/min burst 10", WANTED),
        "refreshes of one session",
        "同一会话的刷新次数",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_GUEST: Text = Text::new("300/min burst 100", WANTED),
        "requests of one client address without a valid token, logins excluded",
        "同一客户端地址未带有效令牌的请求次数，不含登录",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_SEALED: Text = Text::new("600/min burst 200", WANTED),
        "sealed bodies of one client address (each costs an RSA operation)",
        "同一客户端地址的加密请求体次数（每个需要一次 RSA 运算）",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_WECHAT: Text = Text::new("120/h burst 60", WANTED),
        "calls to WeChat, other than logins, on behalf of one user of a mini-program: phone codes, keys, checks of keys, nicknames and avatars, messages to them",
        "代小程序的同一用户调用微信接口的次数，不含登录：手机号 code、密钥的获取与校验、昵称和头像的内容检查、发给该用户的消息",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_EXPORT: Text = Text::new("30/h burst 10", WANTED),
        "pages of exports of one user's data, each of which reads up to 1 MiB of the table",
        "同一用户导出数据的页数；每页最多读取表中 1 MiB 数据",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_AVATAR: Text = Text::new("30/h burst 10", WANTED),
        "forms for uploads of avatars of one user",
        "同一用户获取头像上传表单的次数",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_MESSAGES: Text = Text::new("3000/min burst 500", WANTED),
        "messages that one mini-program sends to its users; those beyond it wait",
        "同一小程序向用户发送消息的次数；超出的消息等待稍后发送",
        wanted_zh("同上");
    pub(crate) RATE_LIMIT_CODES: Text = Text::new("60/h burst 20", WANTED),
        "mini-program codes and URL links that one user has WeChat make; those that are cached don't count",
        "同一用户让微信生成小程序码和 URL Link 的次数，命中缓存的不计",
        wanted_zh("同上");
}

/// One limit, as `COUNT/PERIOD burst BURST`: COUNT in each PERIOD (`s`, `min` or `h`) on average,
/// BURST at once. Append `shadow` to count without refusing; `off` is no limit at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many in each period, on average.
    pub count: u32,
    /// The period.
    pub per: Duration,
    /// How many at once, after a pause.
    pub burst: u32,
    /// Counted and logged, but nobody is refused.
    pub shadow: bool,
}

/// The rate limits. Mobile carriers put thousands of people behind one address, so limits by
/// address are wide.
pub struct LimitSettings {
    /// `RATE_LIMIT_LOGIN`: logins of one address.
    pub login: Option<Limit>,
    /// `RATE_LIMIT_LOGIN_FAILURES`: failed logins of one address.
    pub login_failures: Option<Limit>,
    /// `RATE_LIMIT_USER`: requests of one user.
    pub user: Option<Limit>,
    /// `RATE_LIMIT_REFRESH`: refreshes of one session.
    pub refresh: Option<Limit>,
    /// `RATE_LIMIT_GUEST`: requests of one address without a valid token, other than logins.
    pub guest: Option<Limit>,
    /// `RATE_LIMIT_SEALED`: sealed bodies of one address, each of which costs an RSA operation.
    pub sealed: Option<Limit>,
    /// `RATE_LIMIT_WECHAT`: calls to WeChat on behalf of one user.
    pub wechat: Option<Limit>,
    /// `RATE_LIMIT_EXPORT`: pages of exports of one user's data.
    pub export: Option<Limit>,
    /// `RATE_LIMIT_AVATAR`: forms for uploads of avatars of one user.
    pub avatar: Option<Limit>,
    /// `RATE_LIMIT_MESSAGES`: messages that one mini-program sends.
    pub messages: Option<Limit>,
    /// `RATE_LIMIT_CODES`: codes and links that one user has WeChat make.
    pub codes: Option<Limit>,
}

impl LimitSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            login: limit(&RATE_LIMIT_LOGIN, env),
            login_failures: limit(&RATE_LIMIT_LOGIN_FAILURES, env),
            user: limit(&RATE_LIMIT_USER, env),
            refresh: limit(&RATE_LIMIT_REFRESH, env),
            guest: limit(&RATE_LIMIT_GUEST, env),
            sealed: limit(&RATE_LIMIT_SEALED, env),
            wechat: limit(&RATE_LIMIT_WECHAT, env),
            export: limit(&RATE_LIMIT_EXPORT, env),
            avatar: limit(&RATE_LIMIT_AVATAR, env),
            messages: limit(&RATE_LIMIT_MESSAGES, env),
            codes: limit(&RATE_LIMIT_CODES, env),
        }
    }
}

/// `None` is no limit.
fn limit(setting: &Setting<Text>, env: &Env) -> Option<Limit> {
    match setting.read(env).trim() {
        "off" => None,
        _ => setting.parse(env, parse),
    }
}

fn parse(text: &str) -> Option<Limit> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (rate, burst, shadow) = match words[..] {
        [rate, "burst", burst] => (rate, burst, false),
        [rate, "burst", burst, "shadow"] => (rate, burst, true),
        _ => return None,
    };
    let (count, period) = rate.split_once('/')?;
    let per = match period {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let positive = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|number| (1..=1_000_000).contains(number))
    };
    Some(Limit {
        count: positive(count)?,
        per,
        burst: positive(burst)?,
        shadow,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_rate_and_a_burst() {
        let limit = Limit {
            count: 120,
            per: Duration::from_mins(1),
            burst: 40,
            shadow: false,
        };
        assert_eq!(parse("120/min burst 40"), Some(limit));
        assert_eq!(
            parse(" 120/min  burst 40 shadow"),
            Some(Limit {
                shadow: true,
                ..limit
            })
        );
        for bad in [
            "",
            "120",
            "120/min",
            "0/min burst 4",
            "1/min burst 0",
            "1/day burst 4",
            "-1/s burst 1",
            "on",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_limit_can_be_switched_off_and_a_wrong_one_is_a_config_error() {
        let off = Env::new([("RATE_LIMIT_USER", "off")]);
        assert_eq!(LimitSettings::read(&off).user, None);
        assert!(off.validate().is_ok());
        let wrong = Env::new([
            ("RATE_LIMIT_USER", "fast"),
            ("RATE_LIMIT_WECHAT", "5/day burst 5"),
        ]);
        let _ = LimitSettings::read(&wrong);
        assert_eq!(wrong.validate().unwrap_err().0.len(), 2);
    }
}
