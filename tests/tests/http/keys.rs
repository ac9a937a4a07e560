//! Keys: the published key set, references, rotation, and keys at rest.

mod at_rest;
mod key_set;
mod references;
mod rotation;

use secrecy::ExposeSecret;
use shared::crypto::{KeyKind, KeyPair};

/// A new key as entries of `JWT_KEYS`, under this name.
struct NamedKey {
    name: &'static str,
    private: String,
    public: String,
}

impl NamedKey {
    fn new(name: &'static str, kind: KeyKind) -> Self {
        let pair = KeyPair::generate(kind).unwrap();
        let entry = |half: &str| format!("{name}:{half}");
        Self {
            name,
            private: entry(pair.private.expose_secret()),
            public: entry(&pair.public),
        }
    }
}
