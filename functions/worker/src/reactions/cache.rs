//! Removes what is cached of a row that changed. The request that changed it has done so, too; what it
//! could not remove, or did not live to remove, goes here.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use jiff::SignedDuration;
use shared::{
    auth::session_cache_key,
    cache::{Cache, LEASE_TTL},
    changes::{Change, Images, Reaction, ReactionError, Row, RowKey},
    clock::Clock,
    config::{CacheSettings, ConfigCacheSettings, Env},
    instance::Instance,
    users::{
        profile_cache_key,
        rows::{PROFILE, SESSION, config_cache_key},
    },
};

/// How long a removal is tried at most: less than changes are handed over, so that a store that is
/// unavailable takes no change of other reactions with it.
const AT_MOST: Duration = Duration::from_hours(12);

/// The reaction.
pub struct Invalidation {
    cache: Cache,
    clock: Clock,
    /// After these times nothing that is outdated is left.
    longest: Longest,
}

/// How long values live, with the time for which a reader may be loading one.
struct Longest {
    session: SignedDuration,
    profile: SignedDuration,
    config: SignedDuration,
}

impl Longest {
    fn read(env: &Env) -> Self {
        let rows = CacheSettings::read(env);
        let config = ConfigCacheSettings::read(env);
        let longest = |ttl: Duration| signed(ttl + LEASE_TTL);
        Self {
            session: longest(rows.session),
            profile: longest(rows.profile),
            config: longest(config.ttl + config.stale),
        }
    }
}

impl Invalidation {
    pub fn new(instance: &Instance) -> Self {
        Self {
            cache: instance.cache(),
            clock: instance.clock(),
            longest: Longest::read(instance.env()),
        }
    }

    async fn remove(&self, change: &Change) -> Result<(), ReactionError> {
        let Some((key, longest)) = outdated(change, &self.longest) else {
            return Ok(());
        };
        let age = self.clock.now().duration_since(change.at);
        if age > longest {
            return Ok(());
        }
        let removed = self.cache.remove(&key).await;
        removed.map_err(|error| match error.to_string() {
            why if age > signed(AT_MOST) => ReactionError::Refused(why),
            why => ReactionError::Unavailable(why),
        })
    }
}

impl Reaction for Invalidation {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        self.remove(change).boxed()
    }

    fn react_to_key<'a>(&'a self, key: &'a RowKey) -> BoxFuture<'a, Result<(), ReactionError>> {
        async {
            let Some(key) = cached_under(key) else {
                return Ok(());
            };
            let removed = self.cache.remove(&key).await;
            removed.map_err(|error| ReactionError::Refused(error.to_string()))
        }
        .boxed()
    }
}

/// What can be cached of a user's row that can't be read. Removed in vain, it is loaded once more.
fn cached_under(key: &RowKey) -> Option<String> {
    let user = key.pk.strip_prefix(PROFILE.pk_prefix)?;
    if key.sk == PROFILE.sk {
        return user.parse().ok().map(profile_cache_key);
    }
    let session = key.sk.strip_prefix(SESSION.sk)?;
    session.parse().ok().map(session_cache_key)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// The key whose value the change made outdated, if any, and how long such a value lives.
fn outdated(change: &Change, longest: &Longest) -> Option<(String, SignedDuration)> {
    match &change.row {
        Row::User { id, images } => {
            is_other_user(images).then(|| (profile_cache_key(*id), longest.profile))
        }
        Row::Session { id, images, .. } => {
            let has_ended = match (&images.old, &images.new) {
                (Some(old), Some(new)) => old.revoked_at.is_none() && new.revoked_at.is_some(),
                // What has expired is believed no longer, and of one that was marked the mark told.
                (Some(old), None) => old.revoked_at.is_none() && !change.has_expired,
                (None, _) => false,
            };
            has_ended.then(|| (session_cache_key(*id), longest.session))
        }
        Row::Config(key) => Some((config_cache_key(&key.0), longest.config)),
        Row::Consent { .. } | Row::Saga { .. } | Row::Other(_) => None,
    }
}

/// Whether the cached user is another one than the row's. A row that is new has not been cached.
fn is_other_user(images: &Images<shared::changes::UserImage>) -> bool {
    match (&images.old, &images.new) {
        (Some(old), Some(new)) => old.user != new.user,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests;
