//! The `session_key` of each user in each app, and the encryption keys that hang on it.

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::bounded::{Bounded, MOST};
use crate::codes::Owner;
use crate::crypto::SessionKey;
use crate::limits::{DAY, HOUR, MINUTE, Window};

/// How long a `session_key` lives. WeChat does not publish this.
const LIFE: u64 = 3 * DAY;
/// How long an encryption key lives, and how many of them are told.
const ENCRYPT_KEY_LIFE: u64 = HOUR;
const ENCRYPT_KEYS: usize = 3;
/// WeChat forbids "frequent" resets for one user without a number. This is ours.
const RESETS: Window = Window::new(10, MINUTE);

pub(crate) struct Session {
    pub(crate) owner: Owner,
    pub(crate) key: SessionKey,
    expires_at: u64,
    pub(crate) last_active: u64,
    pub(crate) resets: Window,
    encrypt_keys: Vec<EncryptKey>,
}

#[derive(Clone)]
pub(crate) struct EncryptKey {
    pub(crate) key: SessionKey,
    /// 16 characters, used as 16 bytes.
    pub(crate) iv: String,
    pub(crate) version: u32,
    pub(crate) created_at: u64,
}

impl EncryptKey {
    /// Milliseconds left, down to zero.
    pub(crate) const fn left(&self, now: u64) -> u64 {
        self.created_at
            .saturating_add(ENCRYPT_KEY_LIFE)
            .saturating_sub(now)
    }
}

impl Session {
    fn new(owner: Owner, key: SessionKey, now: u64) -> Self {
        let expires_at = now.saturating_add(LIFE);
        Self {
            owner,
            key,
            expires_at,
            last_active: now,
            resets: RESETS,
            encrypt_keys: Vec::new(),
        }
    }

    pub(crate) const fn has_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }

    pub(crate) const fn expire(&mut self, now: u64) {
        self.expires_at = now;
    }

    /// A new key under the old expiry.
    pub(crate) fn rotate(&mut self, rng: &mut StdRng) {
        self.key = new_key(rng);
    }

    fn log_in(&mut self, rng: &mut StdRng, keep: bool, now: u64) {
        self.last_active = now;
        if !keep || self.has_expired(now) {
            self.key = new_key(rng);
            self.expires_at = now.saturating_add(LIFE);
        }
    }

    /// The last three keys, newest first, of which the first is alive.
    pub(crate) fn encrypt_keys(&mut self, rng: &mut StdRng, now: u64) -> &[EncryptKey] {
        let newest = self.encrypt_keys.first();
        if newest.is_none_or(|key| key.left(now) == 0) {
            let version = newest.map_or(1, |key| key.version + 1);
            let iv = hex::encode(rng.random::<[u8; 8]>());
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
pub(crate) struct Sessions(Bounded<String, Session>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(MOST))
    }

    /// What code2Session does: answers the session's key, a new one unless `keep` and the old one
    /// lives.
    pub(crate) fn log_in(
        &mut self,
        open_id: &str,
        owner: Owner,
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

    /// The user is in the mini-program right now.
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

    fn owner() -> Owner {
        Owner {
            app_id: "wxone".to_owned(),
            user: "alice".to_owned(),
        }
    }

    #[test]
    fn each_login_makes_a_new_key() {
        let (mut sessions, mut rng, key) = logged_in();
        assert_ne!(sessions.log_in("o1", owner(), false, &mut rng, 1), key);
    }

    #[test]
    fn a_kept_key_stays_until_it_expires() {
        let (mut sessions, mut rng, key) = logged_in();
        assert_eq!(
            sessions.log_in("o1", owner(), true, &mut rng, LIFE - 1),
            key
        );
        assert_ne!(sessions.log_in("o1", owner(), true, &mut rng, LIFE), key);
    }

    #[test]
    fn a_rotated_key_inherits_the_expiry() {
        let (mut sessions, mut rng, key) = logged_in();
        let session = sessions.find_mut("o1").unwrap();
        session.rotate(&mut rng);
        assert_ne!(session.key, key);
        assert!(!session.has_expired(LIFE - 1) && session.has_expired(LIFE));
    }

    #[test]
    fn three_encryption_keys_are_told_newest_first() {
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
