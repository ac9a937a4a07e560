//! The AWS credentials that requests are signed with.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;

/// Keys of AWS.
pub struct AwsKeys {
    /// The access key's id.
    pub id: String,
    /// The secret access key.
    pub secret: SecretString,
    /// The session token, of temporary keys.
    pub session: Option<SecretString>,
}

/// The current keys. Those of the environment stay; a process that fetches others replaces them
/// before they expire. Cheap to clone; all clones see the same keys.
#[derive(Clone)]
pub struct AwsCredentials(Arc<RwLock<Arc<AwsKeys>>>);

impl AwsCredentials {
    /// These keys, until they are replaced.
    #[must_use]
    pub fn new(keys: AwsKeys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// The keys to sign the next request with. Replaced ones are other keys: compare by address.
    #[must_use]
    pub fn current(&self) -> Arc<AwsKeys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses these keys from now on.
    pub fn replace(&self, keys: AwsKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}
