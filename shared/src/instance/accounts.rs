//! What becomes of whole accounts.

use super::Instance;
use crate::{
    accounts::{
        AccountDeletion, AccountMerge, AccountParts, AccountSagas, PhoneBinding, PhoneCodes,
        PhoneParts, PhoneTickets,
    },
    config::{DeletionSettings, PhoneNumberSettings},
    saga::Sagas,
    users::{Barring, Merging, Traces, UserRows},
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
        let cooling = DeletionSettings::read(&self.env).deletion_cooling;
        AccountDeletion::new(self.account_parts(), self.account_merge(), cooling)
    }

    /// Merges accounts.
    pub fn account_merge(&self) -> AccountMerge {
        let merging = Merging::new(self.dynamo(), self.cache(), self.clock());
        AccountMerge::new(self.account_parts(), merging, self.administrators())
    }

    /// All sagas on accounts.
    pub fn account_sagas(&self) -> AccountSagas {
        AccountSagas::new(
            self.account_deletion(),
            self.account_merge(),
            self.sagas(),
            self.barring(),
        )
    }

    fn account_parts(&self) -> AccountParts {
        AccountParts {
            sagas: self.sagas(),
            dynamo: self.dynamo(),
            barring: self.barring(),
            sessions: self.sessions(),
            rows: UserRows::new(self.dynamo()),
            erasure: self.erasure(),
            avatars: self.avatars(),
            traces: Traces::new(
                self.cache(),
                self.shared_kv(),
                self.limiter(),
                self.limits(),
                self.clock(),
            ),
            clock: self.clock(),
        }
    }

    /// Binds the phone numbers that people share.
    pub fn phone_binding(&self) -> PhoneBinding {
        let codes = PhoneCodes::new(self.wechat_authorized(), self.encrypted_kv(), self.kv());
        let parts = PhoneParts {
            codes,
            numbers: self.phone_numbers(),
            tickets: PhoneTickets::new(self.dynamo(), self.clock(), self.random()),
            profiles: self.profiles(),
            activity: self.activity(),
            administrators: self.administrators(),
            clock: self.clock(),
        };
        PhoneBinding::new(parts, PhoneNumberSettings::read(&self.env))
    }
}
