//! Access tokens: the stable ones, those of `/cgi-bin/token`, and whether one is still good.
//!
//! Source: developers.weixin.qq.com, getStableAccessToken and getAccessToken. The two families are
//! kept apart.

use std::collections::HashMap;

use rand::rngs::StdRng;

use crate::bounded::Bounded;
use crate::errcode::{self, Refusal};
use crate::ids;
use crate::limits::{DAY, MINUTE, SECOND, Window};

const LIFE: u64 = 7200 * SECOND;
/// A stable token is renewed this long before its end, and a replaced classic token lives on for as
/// long.
const OVERLAP: u64 = 5 * MINUTE;
/// A forced refresh sooner than this after the last one refreshes nothing.
const FORCED_APART: u64 = 30 * SECOND;

/// A token handed out, with the seconds it has left.
#[derive(PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) token: String,
    pub(crate) expires_in: u64,
}

struct Issued {
    app_id: String,
    expires_at: u64,
    /// From then on it is refused as "not latest", whatever life it had left.
    replaced_at: Option<u64>,
}

/// What is kept for each app.
struct App {
    stable: Option<String>,
    stable_calls: Window,
    forced_calls: Window,
    forced_at: Option<u64>,
    classic: Option<String>,
    classic_calls: Window,
}

impl Default for App {
    fn default() -> Self {
        Self {
            stable: None,
            stable_calls: Window::new(10_000, MINUTE),
            forced_calls: Window::new(20, DAY),
            forced_at: None,
            classic: None,
            classic_calls: Window::new(2_000, DAY),
        }
    }
}

pub(crate) struct AccessTokens {
    /// Only apps that passed authentication come in, so this is as small as their list.
    apps: HashMap<String, App>,
    issued: Bounded<String, Issued>,
}

impl AccessTokens {
    pub(crate) fn new() -> Self {
        Self {
            apps: HashMap::new(),
            issued: Bounded::new(10_000),
        }
    }

    /// The app that a token speaks for.
    pub(crate) fn check(&self, token: &str, now: u64) -> Result<String, Refusal> {
        if token.is_empty() {
            return Err(errcode::ACCESS_TOKEN_MISSING);
        }
        let issued = self.issued.peek(token).ok_or(errcode::INVALID_CREDENTIAL)?;
        if issued.replaced_at.is_some_and(|at| at <= now) {
            return Err(errcode::INVALID_CREDENTIAL);
        }
        if issued.expires_at <= now {
            return Err(errcode::ACCESS_TOKEN_EXPIRED);
        }
        Ok(issued.app_id.clone())
    }

    /// `/cgi-bin/stable_token`.
    pub(crate) fn stable(
        &mut self,
        app_id: &str,
        force: bool,
        rng: &mut StdRng,
        now: u64,
    ) -> Result<Granted, Refusal> {
        let app = self.apps.entry(app_id.to_owned()).or_default();
        if !app.stable_calls.admit(now) {
            return Err(errcode::MINUTE_LIMIT);
        }
        let refresh = force
            && app
                .forced_at
                .is_none_or(|at| now.saturating_sub(at) >= FORCED_APART);
        if refresh {
            if !app.forced_calls.admit(now) {
                return Err(errcode::DAILY_LIMIT);
            }
            app.forced_at = Some(now);
        }
        let current = app.stable.clone();
        match current.and_then(|token| self.left(token, now)) {
            Some(current) if refresh => self.replace(&current.token, now),
            Some(current) if current.expires_in >= OVERLAP / SECOND => return Ok(current),
            // In its last minutes it is succeeded, and good to its end all the same.
            _ => {}
        }
        let granted = self.issue(app_id, rng, now);
        self.apps.entry(app_id.to_owned()).or_default().stable = Some(granted.token.clone());
        Ok(granted)
    }

    /// `/cgi-bin/token`: a new one at each call.
    pub(crate) fn classic(
        &mut self,
        app_id: &str,
        rng: &mut StdRng,
        now: u64,
    ) -> Result<Granted, Refusal> {
        let app = self.apps.entry(app_id.to_owned()).or_default();
        if !app.classic_calls.admit(now) {
            return Err(errcode::DAILY_LIMIT);
        }
        if let Some(former) = app.classic.take() {
            self.replace(&former, now.saturating_add(OVERLAP));
        }
        let granted = self.issue(app_id, rng, now);
        self.apps.entry(app_id.to_owned()).or_default().classic = Some(granted.token.clone());
        Ok(granted)
    }

    fn issue(&mut self, app_id: &str, rng: &mut StdRng, now: u64) -> Granted {
        let token = ids::access_token(rng);
        let expires_at = now.saturating_add(LIFE);
        let issued = Issued {
            app_id: app_id.to_owned(),
            expires_at,
            replaced_at: None,
        };
        self.issued.insert(token.clone(), issued);
        Granted {
            token,
            expires_in: LIFE / SECOND,
        }
    }

    fn left(&self, token: String, now: u64) -> Option<Granted> {
        let issued = self.issued.peek(&token)?;
        let expires_in = issued.expires_at.saturating_sub(now) / SECOND;
        Some(Granted { token, expires_in })
    }

    fn replace(&mut self, token: &str, at: u64) {
        if let Some(issued) = self.issued.get_mut(token) {
            issued.replaced_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    const APP: &str = "wxone";

    struct Bench(AccessTokens, StdRng);

    impl Bench {
        fn new() -> Self {
            Self(AccessTokens::new(), StdRng::seed_from_u64(1))
        }

        fn stable(&mut self, force: bool, now: u64) -> Result<Granted, Refusal> {
            self.0.stable(APP, force, &mut self.1, now)
        }

        fn token(&mut self, force: bool, now: u64) -> String {
            self.stable(force, now)
                .map(|granted| granted.token)
                .unwrap()
        }

        fn classic(&mut self, now: u64) -> String {
            self.0
                .classic(APP, &mut self.1, now)
                .map(|granted| granted.token)
                .unwrap()
        }
    }

    #[test]
    fn the_normal_mode_gives_the_same_token_with_less_life() {
        let mut bench = Bench::new();
        let first = bench.stable(false, 0).ok().unwrap();
        let second = bench.stable(false, 100 * SECOND).ok().unwrap();
        assert_eq!((first.expires_in, second.expires_in), (7200, 7100));
        assert!(first.token == second.token);
    }

    #[test]
    fn five_minutes_before_the_end_both_tokens_are_good() {
        let mut bench = Bench::new();
        let old = bench.token(false, 0);
        assert_eq!(bench.token(false, LIFE - OVERLAP), old);
        let late = LIFE - OVERLAP + SECOND;
        let new = bench.token(false, late);
        assert_ne!(new, old);
        assert_eq!(bench.0.check(&old, LIFE - 1), Ok(APP.to_owned()));
        assert_eq!(bench.0.check(&new, LIFE), Ok(APP.to_owned()));
        assert_eq!(
            bench.0.check(&old, LIFE),
            Err(errcode::ACCESS_TOKEN_EXPIRED)
        );
    }

    #[test]
    fn a_forced_refresh_ends_the_last_token_at_once() {
        let mut bench = Bench::new();
        let old = bench.token(false, 0);
        let new = bench.token(true, 1);
        assert_ne!(new, old);
        assert_eq!(bench.0.check(&old, 1), Err(errcode::INVALID_CREDENTIAL));
        assert_eq!(bench.token(false, 2), new);
    }

    #[test]
    fn a_forced_refresh_within_30_seconds_refreshes_nothing() {
        let mut bench = Bench::new();
        let first = bench.token(true, 0);
        assert_eq!(bench.token(true, 30 * SECOND - 1), first);
        assert_ne!(bench.token(true, 30 * SECOND), first);
    }

    #[test]
    fn the_21st_forced_refresh_of_a_day_is_refused() {
        let mut bench = Bench::new();
        for round in 0..20 {
            bench.token(true, round * MINUTE);
        }
        assert_eq!(
            bench.stable(true, 20 * MINUTE).err(),
            Some(errcode::DAILY_LIMIT)
        );
        assert!(bench.stable(false, 20 * MINUTE).is_ok());
        assert!(bench.stable(true, DAY).is_ok());
    }

    #[test]
    fn stable_tokens_are_limited_by_the_minute() {
        let mut bench = Bench::new();
        for _ in 0..10_000 {
            assert!(bench.stable(false, 0).is_ok());
        }
        assert_eq!(bench.stable(false, 0).err(), Some(errcode::MINUTE_LIMIT));
    }

    #[test]
    fn a_replaced_classic_token_lives_five_more_minutes() {
        let mut bench = Bench::new();
        let (old, new) = (bench.classic(0), bench.classic(1));
        assert_ne!(old, new);
        assert!(bench.0.check(&old, OVERLAP).is_ok());
        assert_eq!(
            bench.0.check(&old, OVERLAP + 1),
            Err(errcode::INVALID_CREDENTIAL)
        );
    }

    #[test]
    fn the_two_families_leave_each_other_alone() {
        let mut bench = Bench::new();
        let classic = bench.classic(0);
        let stable = bench.token(true, 1);
        assert_ne!(classic, stable);
        assert!(bench.0.check(&classic, 2).is_ok());
        bench.classic(3);
        assert!(bench.0.check(&stable, LIFE).is_ok());
    }

    #[test]
    fn no_token_and_a_made_up_token_are_told_apart() {
        let bench = Bench::new();
        assert_eq!(bench.0.check("", 0), Err(errcode::ACCESS_TOKEN_MISSING));
        assert_eq!(
            bench.0.check("80_made_up", 0),
            Err(errcode::INVALID_CREDENTIAL)
        );
    }
}
