//! Users and their rows.

use super::Instance;
use crate::{
    audit::AuditTrail,
    config::{AvatarSettings, CacheSettings, ConsentSettings, DataKeySettings, administrators},
    users::{
        Activity, Administrators, AvatarStore, Avatars, Consents, Erasure, Identities, Listing,
        Logins, ManagedUsers, MovingIn, PhoneNumbers, Profiles, RequiredConsents, SessionKeyStore,
        UserRows,
    },
};

impl Instance {
    /// The profiles of users.
    pub fn profiles(&self) -> Profiles {
        let ttl = CacheSettings::read(&self.env).profile;
        Profiles::new(self.dynamo(), self.cache(), self.clock(), ttl)
    }

    /// When users were last active.
    pub fn activity(&self) -> Activity {
        Activity::new(self.dynamo(), self.clock())
    }

    /// What happened to accounts.
    pub fn audit_trail(&self) -> AuditTrail {
        AuditTrail::new(self.dynamo(), self.clock())
    }

    /// Uploaded avatars. Without a bucket there are none.
    pub fn avatars(&self) -> Avatars {
        let store = AvatarSettings::read(&self.env)
            .map(|settings| AvatarStore::new(settings, self.clock(), self.random()));
        let (dynamo, cache) = (self.dynamo(), self.cache());
        Avatars::new(dynamo, cache, self.clock(), self.random(), store)
    }

    /// What users agree to.
    pub fn consents(&self) -> Consents {
        Consents::new(self.dynamo(), self.cache(), self.clock())
    }

    /// What users have to agree to.
    pub fn required_consents(&self) -> RequiredConsents {
        RequiredConsents::new(ConsentSettings::read(&self.env))
    }

    /// All rows of users.
    pub fn user_rows(&self) -> UserRows {
        UserRows::new(self.dynamo())
    }

    /// Erases personal data.
    pub fn erasure(&self) -> Erasure {
        Erasure::new(self.dynamo(), self.cache(), self.clock())
    }

    /// Users' identities in mini-programs.
    pub fn identities(&self) -> Identities {
        Identities::new(self.dynamo())
    }

    /// Resolves WeChat logins to users.
    pub fn logins(&self) -> Logins {
        Logins::new(
            self.dynamo(),
            self.shared_kv(),
            self.clock(),
            self.random(),
            self.at_rest(),
        )
    }

    /// The session keys of users.
    pub fn session_keys(&self) -> SessionKeyStore {
        SessionKeyStore::new(self.dynamo(), self.at_rest(), self.random())
    }

    /// Binds phone numbers to users.
    pub fn phone_numbers(&self) -> PhoneNumbers {
        PhoneNumbers::new(
            self.dynamo(),
            self.cache(),
            self.clock(),
            &DataKeySettings::read(&self.env).keys,
        )
    }

    /// Says who is an administrator.
    pub fn administrators(&self) -> Administrators {
        Administrators::new(self.dynamo(), administrators(&self.env))
    }

    /// Users as administrators see and change them.
    pub fn managed_users(&self) -> ManagedUsers {
        let administrators = self.administrators();
        ManagedUsers::new(self.dynamo(), self.cache(), self.clock(), administrators)
    }

    /// Lists users.
    pub fn listing(&self) -> Listing {
        Listing::new(self.dynamo())
    }

    /// Moves people in from other backends.
    pub fn moving_in(&self) -> MovingIn {
        let keys = DataKeySettings::read(&self.env).keys;
        MovingIn::new(self.dynamo(), self.clock(), self.random(), &keys)
    }
}
