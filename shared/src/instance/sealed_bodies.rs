//! Sealed bodies: the keys, and what opens bodies with them.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::Instance;
use crate::{
    config::{Pkcs8Key, TransportSettings},
    crypto::{TransportKey, TransportKeys},
    edge::{SealedBodies, Sealing, SealingParts},
};

impl Instance {
    /// Accepts sealed bodies, for functions that read bodies. Returns the keys, if there are any.
    pub fn sealed_bodies(&self) -> Option<Arc<TransportKeys>> {
        let build = || {
            let keys = self.transport_keys();
            keys.first()?;
            let keys = Arc::new(keys);
            let sealed: Arc<dyn SealedBodies> = Arc::new(Sealing::new(SealingParts {
                keys: Arc::clone(&keys),
                kv: self.kv(),
                limiter: self.limiter(),
                limits: self.limits(),
                clock: self.clock(),
                random: self.random(),
            }));
            Some((keys, sealed))
        };
        self.sealed_bodies
            .get_or_init(build)
            .as_ref()
            .map(|(keys, _)| Arc::clone(keys))
    }

    /// The configured keys; local development generates one if none is set.
    fn transport_keys(&self) -> TransportKeys {
        let parse = |key: Pkcs8Key| {
            let parsed = TransportKey::from_pkcs8(&key.kid, key.der.expose_secret());
            parsed
                .inspect_err(|error| key.add_error(&self.env, error))
                .ok()
        };
        let mut keys: Vec<_> = TransportSettings::read(&self.env)
            .keys
            .into_iter()
            .filter_map(parse)
            .collect();
        if keys.is_empty() && self.env.is_local() {
            // A new kid at each start, so that a client with a cached key notices that it is no
            // longer valid.
            let kid = format!("local-{}", hex::encode(self.random.bytes::<4>()));
            keys.extend(TransportKey::generate(&kid));
        }
        TransportKeys(keys)
    }
}
