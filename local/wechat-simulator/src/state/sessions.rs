//! The session of each user in each app: its `session_key` and its encryption keys.

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use rand::rngs::StdRng;

use crate::protocol::session_key::SessionKey;
use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::state::rate_window::RateWindow;
use crate::state::users::AppUser;
use crate::time::{DAY, HOUR, MINUTE};

/// How long a `session_key` is valid. WeChat does not publish this.
const KEY_LIFETIME: u64 = 3 * DAY;
/// How long an encryption key is valid.
const ENCRYPT_KEY_LIFETIME: u64 = HOUR;
/// How many encryption keys getUserEncryptKey returns.
const ENCRYPT_KEYS: usize = 3;
/// WeChat rejects "frequent" resets for one user and publishes no number. This one is made up.
const RESET_RATE: RateWindow = RateWindow::new(10, MINUTE);

pub(crate) struct Session {
    pub(crate) owner: AppUser,
    pub(crate) key: SessionKey,
    expires_at: u64,
    pub(crate) last_active: u64,
    pub(crate) resets: RateWindow,
    encrypt_keys: Vec<EncryptKey>,
}

#[derive(Clone)]
pub(crate) struct EncryptKey {
    pub(crate) key: SessionKey,
    /// 16 letters and digits: WeChat sends the IV as text, whose bytes are the cipher's IV.
    pub(crate) iv: [u8; 16],
    pub(crate) version: u32,
    pub(crate) created_at: u64,
}

impl EncryptKey {
    pub(crate) fn iv_text(&self) -> String {
        self.iv.iter().copied().map(char::from).collect()
    }

    /// Milliseconds until it expires; 0 when it has.
    pub(crate) const fn remaining(&self, now: u64) -> u64 {
        self.created_at
            .saturating_add(ENCRYPT_KEY_LIFETIME)
            .saturating_sub(now)
    }
}

impl Session {
    fn new(owner: AppUser, key: SessionKey, now: u64) -> Self {
        let expires_at = now.saturating_add(KEY_LIFETIME);
        Self {
            owner,
            key,
            expires_at,
            last_active: now,
            resets: RESET_RATE,
            encrypt_keys: Vec::new(),
        }
    }

    pub(crate) const fn has_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }

    pub(crate) const fn expire(&mut self, now: u64) {
        self.expires_at = now;
    }

    /// Replaces the key and keeps the time at which it expires.
    pub(crate) fn rotate(&mut self, rng: &mut StdRng) {
        self.key = new_key(rng);
    }

    fn log_in(&mut self, rng: &mut StdRng, keep: bool, now: u64) {
        self.last_active = now;
        if !keep || self.has_expired(now) {
            self.key = new_key(rng);
            self.expires_at = now.saturating_add(KEY_LIFETIME);
        }
    }

    /// The last three keys, newest first. The first one is valid: it is created when necessary.
    pub(crate) fn encrypt_keys(&mut self, rng: &mut StdRng, now: u64) -> &[EncryptKey] {
        let newest = self.encrypt_keys.first();
        if newest.is_none_or(|key| key.remaining(now) == 0) {
            let version = newest.map_or(1, |key| key.version + 1);
            let iv = std::array::from_fn(|_| rng.sample(Alphanumeric));
            let key = EncryptKey {
                key: new_key(rng),
                iv,
                version,
                created_at: now,
            };
            self.encrypt_keys.insert(0, key);
            self.encrypt_keys.truncate(ENCRYPT_KEYS);
        }
        &self.encrypt_keys
    }
}

fn new_key(rng: &mut StdRng) -> SessionKey {
    SessionKey::new(rng.random())
}

/// All sessions by openid.
pub(crate) struct Sessions(BoundedMap<String, Session>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    /// What code2Session does: returns the session's key, which is a new one unless `keep` is set and
    /// the old one is still valid.
    pub(crate) fn log_in(
        &mut self,
        open_id: &str,
        owner: AppUser,
        keep: bool,
        rng: &mut StdRng,
        now: u64,
    ) -> SessionKey {
        if let Some(session) = self.0.get_mut(open_id) {
            session.log_in(rng, keep, now);
            return session.key.clone();
        }
        let key = new_key(rng);
        self.0
            .insert(open_id.to_owned(), Session::new(owner, key.clone(), now));
        key
    }

    pub(crate) fn find(&self, open_id: &str) -> Option<&Session> {
        self.0.peek(open_id)
    }

    pub(crate) fn find_mut(&mut self, open_id: &str) -> Option<&mut Session> {
        self.0.get_mut(open_id)
    }

    /// Records that the user is using the mini-program now.
    pub(crate) fn touch(&mut self, open_id: &str, now: u64) {
        if let Some(session) = self.0.get_mut(open_id) {
            session.last_active = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn logged_in() -> (Sessions, StdRng, SessionKey) {
        let (mut sessions, mut rng) = (Sessions::new(), StdRng::seed_from_u64(1));
        let key = sessions.log_in("o1", owner(), false, &mut rng, 0);
        (sessions, rng, key)
    }

    fn owner() -> AppUser {
        AppUser {
            app_id: "wxone".to_owned(),
            user: "alice".to_owned(),
        }
    }

    #[test]
    fn each_login_creates_a_new_key() {
        let (mut sessions, mut rng, key) = logged_in();
        assert_ne!(sessions.log_in("o1", owner(), false, &mut rng, 1), key);
    }

    #[test]
    fn a_kept_key_is_replaced_when_it_expires() {
        let (mut sessions, mut rng, key) = logged_in();
        assert_eq!(
            sessions.log_in("o1", owner(), true, &mut rng, KEY_LIFETIME - 1),
            key
        );
        assert_ne!(
            sessions.log_in("o1", owner(), true, &mut rng, KEY_LIFETIME),
            key
        );
    }

    #[test]
    fn a_rotated_key_keeps_the_expiry() {
        let (mut sessions, mut rng, key) = logged_in();
        let session = sessions.find_mut("o1").unwrap();
        session.rotate(&mut rng);
        assert_ne!(session.key, key);
        assert!(!session.has_expired(KEY_LIFETIME - 1) && session.has_expired(KEY_LIFETIME));
    }

    #[test]
    fn the_last_three_encryption_keys_are_returned_newest_first() {
        let (mut sessions, mut rng, _) = logged_in();
        let session = sessions.find_mut("o1").unwrap();
        for round in 0..5 {
            session.encrypt_keys(&mut rng, round * HOUR);
        }
        let versions: Vec<u32> = session
            .encrypt_keys(&mut rng, 5 * HOUR - 1)
            .iter()
            .map(|key| key.version)
            .collect();
        assert_eq!(versions, [5, 4, 3]);
    }
}
