//! Calls to WeChat, and the circuit breaker in front of them.

use std::sync::Arc;

use super::Instance;
use crate::{
    config::{BreakerSettings, WeChatSettings},
    resilience::{
        breaker::Observer,
        guard::{Guard, GuardParts},
    },
    telemetry::OrDegraded,
    wechat::{
        AccessTokenParts, AccountQuota, AuthorizedWeChat, Protection, WECHAT, WeChat,
        WeChatAccessTokens,
    },
};

impl Instance {
    /// The client of WeChat, connected before the first request.
    pub fn wechat(&self) -> Arc<WeChat> {
        self.wechat.get_or_init(|| self.connect_wechat()).clone()
    }

    /// The state of the circuit breaker in front of `upstream`, for operators.
    ///
    /// # Panics
    /// At start, when settings are out of range and were not checked.
    pub fn observer(&self, upstream: &'static str) -> Observer {
        let settings = BreakerSettings::read(&self.env);
        #[expect(
            clippy::expect_used,
            reason = "start-up, with settings that were checked"
        )]
        Observer::new(upstream, &settings, self.kv_on_demand(), self.random())
            .expect("a circuit breaker")
    }

    fn connect_wechat(&self) -> Arc<WeChat> {
        let breaker = BreakerSettings::read(&self.env);
        // Settings out of range were recorded as errors when they were read; the others are
        // accepted.
        let guard = Guard::new(
            WECHAT,
            &breaker,
            GuardParts {
                shared: self.shared_kv(),
                clock: self.clock(),
                random: self.random(),
            },
        );
        #[expect(
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
            connecting.connect().await.or_degraded("WeChat at start");
        });
        wechat
    }

    /// WeChat's APIs that need an access token.
    pub fn wechat_authorized(&self) -> AuthorizedWeChat {
        let tokens = WeChatAccessTokens::new(AccessTokenParts {
            shared: self.encrypted_kv(),
            kv: self.kv(),
            clock: self.clock(),
            random: self.random(),
            call_timeout: WeChatSettings::read(&self.env).timeout,
        });
        let quota = AccountQuota {
            limiter: self.limiter(),
            cost: self.limits().wechat,
        };
        AuthorizedWeChat::new(self.wechat(), tokens, quota)
    }
}
