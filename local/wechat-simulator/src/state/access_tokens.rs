//! Access tokens: issues them and checks them. Stable tokens and those of `/cgi-bin/token` (here:
//! classic) are separate families that don't affect each other.
//!
//! Source: developers.weixin.qq.com, getStableAccessToken and getAccessToken.

use std::collections::HashMap;

use rand::rngs::StdRng;

use crate::protocol::errcode::{self, ApiError};
use crate::protocol::ids;
use crate::state::bounded_map::BoundedMap;
use crate::state::rate_window::RateWindow;
use crate::time::{DAY, MINUTE, SECOND};

const LIFETIME: u64 = 7200 * SECOND;
/// A stable token is replaced this long before it expires, and a replaced classic token remains valid
/// this long.
const OVERLAP: u64 = 5 * MINUTE;
/// A forced refresh sooner than this after the last one returns the current token.
const MIN_FORCED_INTERVAL: u64 = 30 * SECOND;

/// A token for the caller.
#[derive(PartialEq, Eq)]
pub(crate) struct GrantedToken {
    pub(crate) token: String,
    /// Seconds.
    pub(crate) expires_in: u64,
}

struct IssuedToken {
    app_id: String,
    expires_at: u64,
    /// From then on it is rejected as "not latest", even before it expires.
    replaced_at: Option<u64>,
}

/// The current tokens of one app, and its limits.
struct AppTokens {
    stable: Option<String>,
    stable_calls: RateWindow,
    forced_calls: RateWindow,
    forced_at: Option<u64>,
    classic: Option<String>,
    classic_calls: RateWindow,
}

impl Default for AppTokens {
    fn default() -> Self {
        Self {
            stable: None,
            stable_calls: RateWindow::new(10_000, MINUTE),
            forced_calls: RateWindow::new(20, DAY),
            forced_at: None,
            classic: None,
            classic_calls: RateWindow::new(2_000, DAY),
        }
    }
}

pub(crate) struct AccessTokenStore {
    /// Entries exist for registered apps only, so their number is bounded.
    apps: HashMap<String, AppTokens>,
    issued: BoundedMap<String, IssuedToken>,
}

impl AccessTokenStore {
    pub(crate) fn new() -> Self {
        Self {
            apps: HashMap::new(),
            issued: BoundedMap::new(10_000),
        }
    }

    /// The app that a token was issued to.
    pub(crate) fn check(&self, token: &str, now: u64) -> Result<String, ApiError> {
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
    ) -> Result<GrantedToken, ApiError> {
        let app = self.apps.entry(app_id.to_owned()).or_default();
        if !app.stable_calls.admit(now) {
            return Err(errcode::MINUTE_LIMIT);
        }
        let refresh = force
            && app
                .forced_at
                .is_none_or(|at| now.saturating_sub(at) >= MIN_FORCED_INTERVAL);
        if refresh {
            if !app.forced_calls.admit(now) {
                return Err(errcode::DAILY_LIMIT);
            }
            app.forced_at = Some(now);
        }
        let current = app.stable.clone();
        match current.and_then(|token| self.with_remaining(token, now)) {
            Some(current) if refresh => self.replace(&current.token, now),
            Some(current) if current.expires_in >= OVERLAP / SECOND => return Ok(current),
            // Within the overlap a new token is issued, and the old one remains valid.
            _ => {}
        }
        let granted = self.issue(app_id, rng, now);
        self.apps.entry(app_id.to_owned()).or_default().stable = Some(granted.token.clone());
        Ok(granted)
    }

    /// `/cgi-bin/token`: a new token at each call.
    pub(crate) fn classic(
        &mut self,
        app_id: &str,
        rng: &mut StdRng,
        now: u64,
    ) -> Result<GrantedToken, ApiError> {
        let app = self.apps.entry(app_id.to_owned()).or_default();
        if !app.classic_calls.admit(now) {
            return Err(errcode::DAILY_LIMIT);
        }
        if let Some(previous) = app.classic.take() {
            self.replace(&previous, now.saturating_add(OVERLAP));
        }
        let granted = self.issue(app_id, rng, now);
        self.apps.entry(app_id.to_owned()).or_default().classic = Some(granted.token.clone());
        Ok(granted)
    }

    fn issue(&mut self, app_id: &str, rng: &mut StdRng, now: u64) -> GrantedToken {
        let token = ids::access_token(rng);
        let expires_at = now.saturating_add(LIFETIME);
        let issued = IssuedToken {
            app_id: app_id.to_owned(),
            expires_at,
            replaced_at: None,
        };
        self.issued.insert(token.clone(), issued);
        GrantedToken {
            token,
            expires_in: LIFETIME / SECOND,
        }
    }

    fn with_remaining(&self, token: String, now: u64) -> Option<GrantedToken> {
        let issued = self.issued.peek(&token)?;
        let expires_in = issued.expires_at.saturating_sub(now) / SECOND;
        Some(GrantedToken { token, expires_in })
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

    struct Fixture(AccessTokenStore, StdRng);

    impl Fixture {
        fn new() -> Self {
            Self(AccessTokenStore::new(), StdRng::seed_from_u64(1))
        }

        fn stable(&mut self, force: bool, now: u64) -> Result<GrantedToken, ApiError> {
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
    fn the_normal_mode_returns_the_same_token_with_its_remaining_lifetime() {
        let mut tokens = Fixture::new();
        let first = tokens.stable(false, 0).ok().unwrap();
        let second = tokens.stable(false, 100 * SECOND).ok().unwrap();
        assert_eq!((first.expires_in, second.expires_in), (7200, 7100));
        assert!(first.token == second.token);
    }

    #[test]
    fn old_and_new_token_are_both_valid_in_the_last_five_minutes() {
        let mut tokens = Fixture::new();
        let old = tokens.token(false, 0);
        assert_eq!(tokens.token(false, LIFETIME - OVERLAP), old);
        let late = LIFETIME - OVERLAP + SECOND;
        let new = tokens.token(false, late);
        assert_ne!(new, old);
        assert_eq!(tokens.0.check(&old, LIFETIME - 1), Ok(APP.to_owned()));
        assert_eq!(tokens.0.check(&new, LIFETIME), Ok(APP.to_owned()));
        assert_eq!(
            tokens.0.check(&old, LIFETIME),
            Err(errcode::ACCESS_TOKEN_EXPIRED)
        );
    }

    #[test]
    fn a_forced_refresh_invalidates_the_old_token_at_once() {
        let mut tokens = Fixture::new();
        let old = tokens.token(false, 0);
        let new = tokens.token(true, 1);
        assert_ne!(new, old);
        assert_eq!(tokens.0.check(&old, 1), Err(errcode::INVALID_CREDENTIAL));
        assert_eq!(tokens.token(false, 2), new);
    }

    #[test]
    fn a_forced_refresh_within_30_seconds_returns_the_current_token() {
        let mut tokens = Fixture::new();
        let first = tokens.token(true, 0);
        assert_eq!(tokens.token(true, 30 * SECOND - 1), first);
        assert_ne!(tokens.token(true, 30 * SECOND), first);
    }

    #[test]
    fn the_21st_forced_refresh_in_a_day_is_rejected() {
        let mut tokens = Fixture::new();
        for round in 0..20 {
            tokens.token(true, round * MINUTE);
        }
        assert_eq!(
            tokens.stable(true, 20 * MINUTE).err(),
            Some(errcode::DAILY_LIMIT)
        );
        assert!(tokens.stable(false, 20 * MINUTE).is_ok());
        assert!(tokens.stable(true, DAY).is_ok());
    }

    #[test]
    fn stable_token_calls_are_limited_per_minute() {
        let mut tokens = Fixture::new();
        for _ in 0..10_000 {
            assert!(tokens.stable(false, 0).is_ok());
        }
        assert_eq!(tokens.stable(false, 0).err(), Some(errcode::MINUTE_LIMIT));
    }

    #[test]
    fn a_replaced_classic_token_is_valid_for_five_more_minutes() {
        let mut tokens = Fixture::new();
        let (old, new) = (tokens.classic(0), tokens.classic(1));
        assert_ne!(old, new);
        assert!(tokens.0.check(&old, OVERLAP).is_ok());
        assert_eq!(
            tokens.0.check(&old, OVERLAP + 1),
            Err(errcode::INVALID_CREDENTIAL)
        );
    }

    #[test]
    fn stable_and_classic_tokens_do_not_affect_each_other() {
        let mut tokens = Fixture::new();
        let classic = tokens.classic(0);
        let stable = tokens.token(true, 1);
        assert_ne!(classic, stable);
        assert!(tokens.0.check(&classic, 2).is_ok());
        tokens.classic(3);
        assert!(tokens.0.check(&stable, LIFETIME).is_ok());
    }

    #[test]
    fn a_missing_and_an_unknown_token_have_different_errors() {
        let tokens = Fixture::new();
        assert_eq!(tokens.0.check("", 0), Err(errcode::ACCESS_TOKEN_MISSING));
        assert_eq!(
            tokens.0.check("80_made_up", 0),
            Err(errcode::INVALID_CREDENTIAL)
        );
    }
}
