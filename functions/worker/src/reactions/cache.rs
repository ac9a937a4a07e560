//! Removes what is cached of a row that changed. The request that changed it has done so, too; what it
//! could not remove, or did not live to remove, goes here.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use jiff::SignedDuration;
use shared::{
    auth::session_cache_key,
    cache::{Cache, LEASE_TTL},
    changes::{Change, Images, Reaction, ReactionError, Row},
    clock::Clock,
    config::CacheSettings,
    instance::Instance,
    users::{profile_cache_key, rows::config_cache_key},
};

/// The reaction.
pub struct Invalidation {
    cache: Cache,
    clock: Clock,
    /// After this time nothing that is outdated is left of a change.
    longest: SignedDuration,
}

impl Invalidation {
    pub fn new(instance: &Instance) -> Self {
        let settings = CacheSettings::read(instance.env());
        let longest = settings.session.max(settings.profile) + LEASE_TTL;
        Self {
            cache: instance.cache(),
            clock: instance.clock(),
            longest: at_most(longest),
        }
    }

    async fn remove(&self, change: &Change) -> Result<(), ReactionError> {
        let Some(key) = outdated(change) else {
            return Ok(());
        };
        // A store that is away for longer than this must not keep other reactions waiting.
        if self.clock.now().duration_since(change.at) > self.longest {
            return Ok(());
        }
        let removed = self.cache.remove(&key).await;
        removed.map_err(|error| ReactionError::Unavailable(error.to_string()))
    }
}

impl Reaction for Invalidation {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        self.remove(change).boxed()
    }
}

fn at_most(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// The key whose value the change made outdated, if any.
fn outdated(change: &Change) -> Option<String> {
    match &change.row {
        Row::User { id, images } => is_other_user(images).then(|| profile_cache_key(*id)),
        Row::Session { id, images, .. } => {
            let has_ended = match (&images.old, &images.new) {
                (Some(old), Some(new)) => old.revoked_at.is_none() && new.revoked_at.is_some(),
                // What has expired is believed no longer, and a row that was revoked was told of then.
                (Some(old), None) => old.revoked_at.is_none() && !change.has_expired,
                (None, _) => false,
            };
            has_ended.then(|| session_cache_key(*id))
        }
        Row::Config(key) => Some(config_cache_key(&key.0)),
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
