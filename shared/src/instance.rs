//! What one instance builds once: the parts that its functions ask for, and no others.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool};

use axum::Router;
use futures_util::future::{BoxFuture, join_all};
use secrecy::ExposeSecret;

use crate::{
    auth::{Admission, AdmissionParts, SessionParts, Sessions, Tokens},
    cache::Cache,
    clock::Clock,
    config::{
        BreakerSettings, CacheSettings, ConfigErrors, DataKeySettings, DynamoSettings,
        EdgeSettings, Env, LimitSettings, Pkcs8Key, ProxySettings, RedisSettings, SessionSettings,
        TokenSettings, TransportSettings, WeChatSettings,
    },
    crypto::{AtRest, TransportKey, TransportKeys},
    dynamo::Dynamo,
    edge::{self, Edge, Sealing, SealingParts},
    encrypted_kv::EncryptedKv,
    kv::{Kv, MemoryStore, RedisStore},
    random::Random,
    resilience::{
        Limiter, Limits,
        breaker::Observer,
        guard::{Guard, GuardParts},
    },
    telemetry,
    users::{Erasure, Identities, Logins, PhoneNumbers, Profiles, SessionKeyStore},
    wechat::{AccessTokenParts, AuthorizedWeChat, Protection, WECHAT, WeChat, WeChatAccessTokens},
};

/// Something to be connected before the first request.
type Connecting = BoxFuture<'static, ()>;

/// The parts. A function's `routes(&instance)` takes what it needs; the rest is neither built nor
/// linked. Wrong settings are recorded in the environment and refuse the start in
/// [`Instance::app`].
pub struct Instance {
    env: Env,
    clock: Clock,
    random: Random,
    connecting: Mutex<Vec<Connecting>>,
    kv: OnceLock<Kv>,
    dynamo: OnceLock<Dynamo>,
    tokens: OnceLock<Arc<Tokens>>,
    sealed_bodies: OnceLock<Option<SealedBodies>>,
    limiter: OnceLock<Limiter>,
    wechat: OnceLock<Arc<WeChat>>,
}

/// The keys, and the layer that opens bodies with them.
type SealedBodies = (Arc<TransportKeys>, edge::Layer);

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
            dynamo: OnceLock::new(),
            tokens: OnceLock::new(),
            sealed_bodies: OnceLock::new(),
            limiter: OnceLock::new(),
            wechat: OnceLock::new(),
        }
    }

    /// The settings.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The randomness.
    #[must_use]
    pub fn random(&self) -> Random {
        self.random.clone()
    }

    /// The state that instances share: Redis where `REDIS_URL` is set, else this process's own.
    pub fn kv(&self) -> Kv {
        let build = || {
            let Some(settings) = RedisSettings::read(&self.env) else {
                return Kv::Memory(MemoryStore::new(self.clock()));
            };
            let redis = RedisStore::open(&settings, self.clock());
            let connecting = redis.clone();
            self.connect_at_start(async move {
                if let Err(error) = connecting.connect().await {
                    telemetry::degraded("Redis at start", &error);
                }
            });
            Kv::Redis(redis)
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
    pub fn dynamo_at_start(&self) -> Dynamo {
        let dynamo = self.dynamo();
        let connecting = dynamo.clone();
        self.connect_at_start(async move {
            if let Err(error) = connecting.probe().await {
                telemetry::degraded("DynamoDB at start", &error);
            }
        });
        dynamo
    }

    /// Checks tokens. Public keys are enough for that.
    pub fn verifier(&self) -> Arc<Tokens> {
        let build = || Arc::new(Tokens::new(&self.env, self.clock()));
        self.tokens.get_or_init(build).clone()
    }

    /// Makes and checks tokens.
    pub fn tokens(&self) -> Arc<Tokens> {
        TokenSettings::require_to_issue(&self.env);
        self.verifier()
    }

    /// The cache in front of DynamoDB. None where instances share no state: the
    /// others would not learn what one revoked.
    pub fn cache(&self) -> Cache {
        self.shared_kv().map_or_else(
            || Cache::none(self.random()),
            |kv| Cache::new(kv, self.random()),
        )
    }

    /// The state that instances share, where they share any: a process that is alone shares its
    /// memory with itself.
    fn shared_kv(&self) -> Option<Kv> {
        match self.kv() {
            Kv::Memory(_) if !self.env.is_local() => None,
            kv => Some(kv),
        }
    }

    /// The profiles of users.
    pub fn profiles(&self) -> Profiles {
        let ttl = CacheSettings::read(&self.env).profile;
        Profiles::new(self.dynamo(), self.cache(), self.clock(), ttl)
    }

    /// Erases personal data.
    pub fn erasure(&self) -> Erasure {
        Erasure::new(self.dynamo(), self.cache(), self.clock())
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
            clock: self.clock(),
            random: self.random(),
        };
        Sessions::new(parts, &settings, &cached)
    }

    /// Checks callers.
    pub fn admission(&self) -> Admission {
        Admission::new(AdmissionParts {
            tokens: self.verifier(),
            sessions: self.sessions(),
            profiles: self.profiles(),
            cache: self.cache(),
            limiter: self.limiter(),
            limits: self.limits(),
        })
    }

    /// Charges requests. Where instances share nothing, each limits by itself.
    pub fn limiter(&self) -> Limiter {
        self.limiter
            .get_or_init(|| Limiter::new(self.shared_kv(), self.clock()))
            .clone()
    }

    /// What requests cost.
    pub fn limits(&self) -> Limits {
        Limits::new(&LimitSettings::read(&self.env), &self.env)
    }

    /// The client of WeChat, connected before the first request.
    pub fn wechat(&self) -> Arc<WeChat> {
        self.wechat.get_or_init(|| self.connect_wechat()).clone()
    }

    /// The state of the circuit breaker in front of `upstream`, for operators.
    ///
    /// # Panics
    /// At start, with settings that were not checked.
    pub fn observer(&self, upstream: &'static str) -> Observer {
        let settings = BreakerSettings::read(&self.env);
        #[allow(
            clippy::expect_used,
            reason = "start-up, with settings that were checked"
        )]
        Observer::new(upstream, &settings, self.kv(), self.random()).expect("a circuit breaker")
    }

    fn connect_wechat(&self) -> Arc<WeChat> {
        let breaker = BreakerSettings::read(&self.env);
        // Out of range they are errors already, and within it they work.
        let guard = Guard::new(
            WECHAT,
            &breaker,
            GuardParts {
                shared: self.shared_kv(),
                clock: self.clock(),
                random: self.random(),
            },
        );
        #[allow(
            clippy::expect_used,
            reason = "start-up, with settings that were checked"
        )]
        let guard = guard.expect("a circuit breaker");
        let protection = Protection {
            guard,
            slow_call: breaker.slow_call,
            random: self.random(),
        };
        let wechat = Arc::new(WeChat::new(&WeChatSettings::read(&self.env), protection));
        let connecting = Arc::clone(&wechat);
        self.connect_at_start(async move {
            if let Err(error) = connecting.connect().await {
                telemetry::degraded("WeChat at start", &error);
            }
        });
        wechat
    }

    /// WeChat's APIs that want an access token.
    pub fn wechat_authorized(&self) -> AuthorizedWeChat {
        let tokens = WeChatAccessTokens::new(AccessTokenParts {
            shared: self.encrypted_kv(),
            kv: self.kv(),
            clock: self.clock(),
            random: self.random(),
            call_timeout: WeChatSettings::read(&self.env).timeout,
        });
        AuthorizedWeChat::new(self.wechat(), tokens)
    }

    /// Users' identities in mini-programs.
    pub fn identities(&self) -> Identities {
        Identities::new(self.dynamo())
    }

    /// Resolves WeChat logins to users.
    pub fn logins(&self) -> Logins {
        Logins::new(self.dynamo(), self.clock(), self.random(), self.at_rest())
    }

    /// The session keys of users.
    pub fn session_keys(&self) -> SessionKeyStore {
        SessionKeyStore::new(self.dynamo(), self.at_rest(), self.random())
    }

    /// Which user a phone number belongs to.
    pub fn phone_numbers(&self) -> PhoneNumbers {
        PhoneNumbers::new(
            self.dynamo(),
            self.cache(),
            self.clock(),
            &DataKeySettings::read(&self.env).keys,
        )
    }

    /// Shared state that only this service can read.
    pub fn encrypted_kv(&self) -> EncryptedKv {
        EncryptedKv::new(self.kv(), self.at_rest(), self.random())
    }

    /// Encrypts small secrets, for shared state and rows.
    pub fn at_rest(&self) -> AtRest {
        AtRest::new(&DataKeySettings::read(&self.env).keys)
    }

    /// Lets bodies come sealed, for functions that read some. The keys, where there are any.
    pub fn sealed_bodies(&self) -> Option<Arc<TransportKeys>> {
        let build = || {
            let keys = self.transport_keys();
            keys.first()?;
            let keys = Arc::new(keys);
            let sealing = Arc::new(Sealing::new(SealingParts {
                keys: Arc::clone(&keys),
                kv: self.kv(),
                limiter: self.limiter(),
                cost: self.limits().sealed,
                clock: self.clock(),
                random: self.random(),
                timeout: EdgeSettings::read(&self.env).timeout,
            }));
            let layer: edge::Layer = Box::new(move |routes| sealing.layer(routes));
            Some((keys, layer))
        };
        self.sealed_bodies
            .get_or_init(build)
            .as_ref()
            .map(|(keys, _)| Arc::clone(keys))
    }

    /// The configured keys; local development makes one.
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
            // Another name at each start, so that a client which kept the old key sees that it is
            // gone.
            let kid = format!("local-{}", hex::encode(self.random.bytes::<4>()));
            keys.extend(TransportKey::generate(&kid));
        }
        TransportKeys(keys)
    }

    /// `routes` behind the layers that every request passes.
    ///
    /// # Errors
    /// All that is wrong with the settings that were asked for.
    pub fn app(&self, routes: impl Into<Router>) -> Result<Router, ConfigErrors> {
        let settings = EdgeSettings::read(&self.env);
        let trusted_proxies = ProxySettings::read(&self.env).trusted.into();
        self.env.validate()?;
        let cold = Arc::new(AtomicBool::new(true));
        let edge = Edge {
            clock: self.clock(),
            random: self.random(),
            cold,
            trusted_proxies,
        };
        let sealed = self
            .sealed_bodies
            .get()
            .and_then(Option::as_ref)
            .map(|(_, layer)| layer);
        Ok(edge::stack(routes.into(), edge, &settings, sealed))
    }

    /// Connects what the parts want connected before the first request, all at the same time. What
    /// does not connect is logged and tried again when it is needed.
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
