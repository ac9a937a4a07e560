//! Builds the parts of an instance, each once and only when a function uses it.

mod accounts;
mod messages;
mod sealed_bodies;
mod users;
mod webhooks;
mod wechat;

use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use axum::Router;
use futures_util::future::{BoxFuture, join_all};

use crate::{
    api::Cursors,
    auth::{Admission, AdmissionParts, SessionParts, Sessions, Tokens},
    cache::Cache,
    clock::Clock,
    config::{
        CacheSettings, ConfigErrors, DataKeySettings, DynamoSettings, EdgeSettings, Env,
        LimitSettings, ProxySettings, RedisSettings, SessionSettings, TokenSettings,
    },
    crypto::{AtRest, TransportKeys},
    dynamo::Dynamo,
    edge::{self, EdgeParts, SealedBodies},
    encrypted_kv::EncryptedKv,
    kv::{Kv, MemoryStore, RedisStore},
    queue::Queue,
    random::Random,
    resilience::{Limiter, Limits},
    telemetry::OrDegraded,
    wechat::WeChat,
};

/// A connection to open before the first request.
type Connecting = BoxFuture<'static, ()>;

/// The parts. A function's `routes(&instance)` takes the ones that it needs; the rest is neither
/// built nor linked. Invalid settings are recorded in the environment, and [`Instance::app`] fails
/// with them.
pub struct Instance {
    env: Env,
    clock: Clock,
    random: Random,
    connecting: Mutex<Vec<Connecting>>,
    kv: OnceLock<Kv>,
    kv_at_start: Once,
    dynamo: OnceLock<Dynamo>,
    tokens: OnceLock<Arc<Tokens>>,
    sealed_bodies: OnceLock<Option<Sealed>>,
    cache: OnceLock<Cache>,
    limiter: OnceLock<Limiter>,
    admission: OnceLock<Admission>,
    wechat: OnceLock<Arc<WeChat>>,
    webhook_queue: OnceLock<Option<Queue>>,
    message_queue: OnceLock<Option<Queue>>,
}

/// The keys, and what opens bodies with them.
type Sealed = (Arc<TransportKeys>, Arc<dyn SealedBodies>);

impl Instance {
    /// An instance with these settings, time and randomness.
    #[must_use]
    pub fn new(env: Env, clock: Clock, random: Random) -> Self {
        Self {
            env,
            clock,
            random,
            connecting: Mutex::default(),
            kv: OnceLock::new(),
            kv_at_start: Once::new(),
            dynamo: OnceLock::new(),
            tokens: OnceLock::new(),
            sealed_bodies: OnceLock::new(),
            cache: OnceLock::new(),
            limiter: OnceLock::new(),
            admission: OnceLock::new(),
            wechat: OnceLock::new(),
            webhook_queue: OnceLock::new(),
            message_queue: OnceLock::new(),
        }
    }

    /// The settings.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The source of randomness.
    #[must_use]
    pub fn random(&self) -> Random {
        self.random.clone()
    }

    /// The state that instances share: Redis where `REDIS_URL` is set, else this process's own.
    /// Connected before the first request.
    pub fn kv(&self) -> Kv {
        let kv = self.kv_on_demand();
        if let Kv::Redis(redis) = &kv {
            let redis = redis.clone();
            self.kv_at_start.call_once(|| {
                self.connect_at_start(async move {
                    redis.connect().await.or_degraded("Redis at start");
                });
            });
        }
        kv
    }

    /// The same, connected by the first call: for functions that use it in few requests.
    pub fn kv_on_demand(&self) -> Kv {
        let build = || match RedisSettings::read(&self.env) {
            Some(settings) => Kv::Redis(RedisStore::open(&settings, self.clock())),
            None => Kv::Memory(MemoryStore::new(self.clock())),
        };
        self.kv.get_or_init(build).clone()
    }

    /// The table. Connects at the first call.
    pub fn dynamo(&self) -> Dynamo {
        self.dynamo
            .get_or_init(|| Dynamo::new(DynamoSettings::read(&self.env), self.random()))
            .clone()
    }

    /// The table, connected before the first request: for functions that use it in most of them.
    /// A connection carries one call at a time, so `connections` is how many calls most requests
    /// make at the same time: none of them then waits for a TLS handshake.
    pub fn dynamo_at_start(&self, connections: usize) -> Dynamo {
        let dynamo = self.dynamo();
        let connecting = dynamo.clone();
        self.connect_at_start(async move {
            let probes = (0..connections).map(|_| connecting.probe());
            let connected = futures_util::future::try_join_all(probes).await;
            connected.or_degraded("DynamoDB at start");
        });
        dynamo
    }

    /// Verifies tokens. Public keys are enough for that.
    pub fn verifier(&self) -> Arc<Tokens> {
        let build = || Arc::new(Tokens::new(&self.env, self.clock()));
        self.tokens.get_or_init(build).clone()
    }

    /// Issues and verifies tokens.
    pub fn tokens(&self) -> Arc<Tokens> {
        TokenSettings::require_to_issue(&self.env);
        self.verifier()
    }

    /// The cache in front of DynamoDB. Off where instances share no state, because a revocation
    /// would not reach the other instances.
    pub fn cache(&self) -> Cache {
        let build = || match self.shared_kv() {
            Some(kv) => {
                let settings = CacheSettings::read(&self.env);
                let longest_ttl = settings.session.max(settings.profile);
                Cache::new(kv, self.clock(), self.random(), longest_ttl)
            }
            None => Cache::none(self.clock(), self.random()),
        };
        self.cache.get_or_init(build).clone()
    }

    /// The state that instances share, if any. Local development has one process, so its memory
    /// counts as shared.
    fn shared_kv(&self) -> Option<Kv> {
        match self.kv() {
            Kv::Memory(_) if !self.env.is_local() => None,
            kv => Some(kv),
        }
    }

    /// The sessions.
    pub fn sessions(&self) -> Sessions {
        let (settings, cached) = (
            SessionSettings::read(&self.env),
            CacheSettings::read(&self.env),
        );
        let parts = SessionParts {
            dynamo: self.dynamo(),
            cache: self.cache(),
            shared: self.shared_kv(),
            clock: self.clock(),
            random: self.random(),
        };
        Sessions::new(parts, &settings, &cached)
    }

    /// Authenticates callers and charges their rate limits.
    pub fn admission(&self) -> Admission {
        let build = || {
            Admission::new(AdmissionParts {
                tokens: self.verifier(),
                sessions: self.sessions(),
                profiles: self.profiles(),
                cache: self.cache(),
                limiter: self.limiter(),
                limits: self.limits(),
                clock: self.clock(),
            })
        };
        self.admission.get_or_init(build).clone()
    }

    /// The rate limiter. Where instances share no state, each one limits by itself.
    pub fn limiter(&self) -> Limiter {
        self.limiter
            .get_or_init(|| Limiter::new(self.shared_kv(), self.clock()))
            .clone()
    }

    /// The rate limit costs of requests.
    pub fn limits(&self) -> Limits {
        Limits::new(&LimitSettings::read(&self.env), &self.env)
    }

    /// Shared state that only this service can read.
    pub fn encrypted_kv(&self) -> EncryptedKv {
        EncryptedKv::new(self.kv(), self.at_rest(), self.random())
    }

    /// Encrypts small secrets, for shared state and rows.
    pub fn at_rest(&self) -> AtRest {
        AtRest::new(&DataKeySettings::read(&self.env).keys)
    }

    /// Signs the cursors of lists.
    pub fn cursors(&self) -> Cursors {
        Cursors::new(&DataKeySettings::read(&self.env).keys)
    }

    /// `routes` inside of what every request passes.
    ///
    /// # Errors
    /// All that is wrong with the settings that were asked for.
    pub fn app(&self, routes: impl Into<Router>) -> Result<Router, ConfigErrors> {
        let settings = EdgeSettings::read(&self.env);
        let trusted_proxies = ProxySettings::read(&self.env).trusted;
        self.env.validate()?;
        let sealed = self.sealed_bodies.get().and_then(Option::as_ref);
        let parts = EdgeParts {
            clock: self.clock(),
            random: self.random(),
            trusted_proxies,
            sealed: sealed.map(|(_, sealed)| Arc::clone(sealed)),
        };
        Ok(edge::stack(routes.into(), parts, &settings))
    }

    /// Opens the connections that the parts registered, concurrently. A failure is logged, and the
    /// connection is tried again when it is needed.
    pub async fn connect(&self) {
        let connecting = std::mem::take(
            &mut *self
                .connecting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        join_all(connecting).await;
    }

    fn connect_at_start(&self, connecting: impl Future<Output = ()> + Send + 'static) {
        self.connecting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::pin(connecting));
    }
}
