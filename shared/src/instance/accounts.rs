//! What becomes of whole accounts.

use super::Instance;
use crate::{
    accounts::{AccountDeletion, DeletionParts},
    config::DeletionSettings,
    saga::Sagas,
    users::{Barring, Traces, UserRows},
};

impl Instance {
    /// The log of sagas.
    pub fn sagas(&self) -> Sagas {
        let retention = DeletionSettings::read(&self.env).saga_retention;
        Sagas::new(self.dynamo(), self.clock(), self.random(), retention)
    }

    /// Bars accounts.
    pub fn barring(&self) -> Barring {
        Barring::new(self.dynamo(), self.cache(), self.shared_kv(), self.clock())
    }

    /// Deletes accounts.
    pub fn account_deletion(&self) -> AccountDeletion {
        let parts = DeletionParts {
            sagas: self.sagas(),
            dynamo: self.dynamo(),
            barring: self.barring(),
            sessions: self.sessions(),
            rows: UserRows::new(self.dynamo()),
            erasure: self.erasure(),
            traces: Traces::new(
                self.cache(),
                self.shared_kv(),
                self.limiter(),
                self.limits(),
                self.clock(),
            ),
            clock: self.clock(),
            cooling: DeletionSettings::read(&self.env).deletion_cooling,
        };
        AccountDeletion::new(parts)
    }
}
