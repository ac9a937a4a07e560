//! The access tokens whose signatures this instance has verified.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;
use sha2::{Digest, Sha256};

use super::{Claims, NotBefore};

/// The most tokens that are remembered; the least recently used one is evicted first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("above zero");

/// What a token says that was signed by one of our keys, for this service. It may have expired.
pub(super) struct Verified {
    pub(super) claims: Claims,
    pub(super) not_before: NotBefore,
}

/// Remembers tokens by their digest: a page makes several calls with one token. Whether a token is
/// ours depends on its bytes and on the keys alone, so it is kept with the keys, and forgotten when
/// they change.
pub(super) struct VerifiedTokens(Mutex<LruCache<TokenDigest, Arc<Verified>>>);

/// The SHA-256 of a whole token: one with another signature is another token.
pub(super) type TokenDigest = [u8; 32];

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Mutex::new(LruCache::sparse(CAPACITY)))
    }
}

impl VerifiedTokens {
    pub(super) fn get(&self, token: &TokenDigest) -> Option<Arc<Verified>> {
        self.lock().get(token).cloned()
    }

    pub(super) fn remember(&self, token: TokenDigest, verified: Verified) {
        self.lock().put(token, Arc::new(verified));
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<TokenDigest, Arc<Verified>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}
