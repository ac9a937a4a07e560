//! Rate limits.

use std::time::Duration;

use crate::config::Env;

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

/// Who may ask how often. Mobile carriers put thousands of people behind one address, so limits by
/// address are wide.
pub struct LimitSettings {
    /// `RATE_LIMIT_LOGIN`: logins of one address. Default `300/min burst 100`.
    pub login: Option<Limit>,
    /// `RATE_LIMIT_LOGIN_FAILURE_COST`: what a failed login costs of it, 1 to 1000. Default 10.
    pub login_failure_cost: u32,
    /// `RATE_LIMIT_USER`: requests of one user. Default `120/min burst 40`.
    pub user: Option<Limit>,
    /// `RATE_LIMIT_REFRESH`: refreshes of one session. Default `30/min burst 10`.
    pub refresh: Option<Limit>,
    /// `RATE_LIMIT_GUEST`: requests of one address without a valid token, other than logins.
    /// Default `300/min burst 100`.
    pub guest: Option<Limit>,
    /// `RATE_LIMIT_SEALED`: sealed bodies of one address, each of which costs an RSA operation.
    /// Default `600/min burst 200`.
    pub sealed: Option<Limit>,
}

impl LimitSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let limit = |name, set: Option<&str>, default| limit(env, name, set.unwrap_or(default));
        let settings = Self {
            login: limit(
                "RATE_LIMIT_LOGIN",
                env.get("RATE_LIMIT_LOGIN"),
                "300/min burst 100",
            ),
            login_failure_cost: env.number("RATE_LIMIT_LOGIN_FAILURE_COST", 10, 1..=1000),
            user: limit(
                "RATE_LIMIT_USER",
                env.get("RATE_LIMIT_USER"),
                "120/min burst 40",
            ),
            refresh: limit(
                "RATE_LIMIT_REFRESH",
                env.get("RATE_LIMIT_REFRESH"),
                "30/min burst 10",
            ),
            guest: limit(
                "RATE_LIMIT_GUEST",
                env.get("RATE_LIMIT_GUEST"),
                "300/min burst 100",
            ),
            sealed: limit(
                "RATE_LIMIT_SEALED",
                env.get("RATE_LIMIT_SEALED"),
                "600/min burst 200",
            ),
        };
        if settings
            .login
            .is_some_and(|login| settings.login_failure_cost > login.burst)
        {
            env.problem(
                "RATE_LIMIT_LOGIN_FAILURE_COST",
                "is above the burst of RATE_LIMIT_LOGIN",
            );
        }
        settings
    }
}

fn limit(env: &Env, name: &'static str, text: &str) -> Option<Limit> {
    if text.trim() == "off" {
        return None;
    }
    let limit = parse(text);
    if limit.is_none() {
        env.problem(name, "can't be read; wanted: such as `120/min burst 40`, `120/min burst 40 shadow`, or `off`");
    }
    limit
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
    fn a_limit_can_be_switched_off_and_a_wrong_one_is_a_problem() {
        let off = Env::new([("RATE_LIMIT_USER", "off")]);
        assert_eq!(LimitSettings::read(&off).user, None);
        assert!(off.finish().is_ok());
        let wrong = Env::new([
            ("RATE_LIMIT_USER", "fast"),
            ("RATE_LIMIT_LOGIN", "5/min burst 5"),
        ]);
        let _ = LimitSettings::read(&wrong);
        assert_eq!(wrong.finish().unwrap_err().0.len(), 2);
    }
}
