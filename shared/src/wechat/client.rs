//! Every call to WeChat goes through this client: connections, deadline, size limit, and how a
//! response is read.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use url::Url;

use super::WeChatError;
use crate::{
    config::WeChatSettings,
    ids::AppId,
    random::Random,
    request::deadline,
    resilience::{
        bulkhead::Bulkhead,
        guard::{CallOutcome, Guard},
        retry::{Retries, RetryPolicy},
    },
    telemetry::metrics,
    tls::{Authorities, client_config},
};

/// WeChat's name as an upstream, in metrics and of its circuit breaker.
pub const WECHAT: &str = "wechat";
/// One quick retry, because a user is waiting for the response.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: 2,
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_millis(100),
    always_per_second: 1,
};
/// Larger than any documented answer in JSON.
const MAX_JSON: usize = 64 * 1024;
/// WeChat closes idle connections, so one that was idle longer (a frozen instance) is not reused.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The client. Keep one per instance: it owns the connection pool.
pub struct WeChat {
    http: Client,
    base_url: Url,
    apps: Vec<(AppId, SecretString)>,
    timeout: Duration,
    slow_call: Duration,
    /// Limits the calls in flight.
    calls: Bulkhead,
    guard: Guard,
    retries: Retries,
}

/// What protects calls to WeChat.
pub struct Protection {
    /// The circuit breaker.
    pub guard: Guard,
    /// A call that takes at least this long counts as slow.
    pub slow_call: Duration,
    /// Jitters the pauses between retries.
    pub random: Random,
}

/// One of WeChat's APIs.
pub(super) struct Api {
    /// Its name in WeChat's documentation.
    pub(super) name: &'static str,
    /// Its method.
    pub(super) method: Method,
    /// Its path.
    pub(super) path: &'static str,
    /// Whether a call may be sent again when its response was lost.
    pub(super) idempotent: bool,
    /// Maps an errcode other than 0 to an error.
    pub(super) refusal: fn(i64) -> WeChatError,
}

/// What a call returns.
pub(super) trait Answer: Sized {
    /// Larger than any documented answer.
    const MAX_BYTES: usize;

    /// The errcode in a body; 0 for a success.
    fn errcode(body: &[u8]) -> Result<i64, WeChatError>;

    /// Reads the body of a success.
    fn read(body: Vec<u8>) -> Result<Self, WeChatError>;
}

impl<T: DeserializeOwned> Answer for T {
    const MAX_BYTES: usize = MAX_JSON;

    fn errcode(body: &[u8]) -> Result<i64, WeChatError> {
        errcode_of(body)
    }

    fn read(body: Vec<u8>) -> Result<Self, WeChatError> {
        parse(&body)
    }
}

#[derive(Deserialize)]
struct Errcode {
    #[serde(default)]
    errcode: i64,
}

impl WeChat {
    /// A client with these settings.
    ///
    /// # Panics
    /// At start, when TLS can't be set up.
    #[must_use]
    pub fn new(settings: &WeChatSettings, protection: Protection) -> Self {
        let authorities = if settings.base_url.scheme() == "https" {
            Authorities::Any
        } else {
            Authorities::None
        };
        #[expect(clippy::expect_used, reason = "start-up: without TLS nothing can work")]
        let http = Client::builder()
            .tls_backend_preconfigured(client_config(authorities))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(POOL_IDLE)
            // A redirect would send the secret to another host.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let apps = settings
            .apps
            .iter()
            .map(|(id, secret)| (id.clone(), secret.clone()))
            .collect();
        let Protection {
            guard,
            slow_call,
            random,
        } = protection;
        Self {
            http,
            base_url: settings.base_url.clone(),
            apps,
            timeout: settings.timeout,
            slow_call,
            calls: Bulkhead::new(WECHAT, settings.max_concurrency),
            guard,
            retries: Retries::new(WECHAT, RETRY, random),
        }
    }

    /// The circuit breaker in front of WeChat.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The mini-program that a client names, if it is configured; without a name, the first one.
    #[must_use]
    pub fn app(&self, named: Option<&str>) -> Option<&AppId> {
        let mut ids = self.apps.iter().map(|(id, _)| id);
        match named {
            Some(named) => ids.find(|id| id.as_str() == named),
            None => ids.next(),
        }
    }

    /// Opens a connection, so that the first login does not wait for DNS, TCP and TLS.
    ///
    /// # Errors
    /// [`WeChatError`] when there is no connection; the next call tries again.
    pub async fn connect(&self) -> Result<(), WeChatError> {
        self.http
            .head(self.base_url.clone())
            .send()
            .await
            .map(drop)
            .map_err(WeChatError::transport)
    }

    /// A request to `api`, for [`Self::call`].
    pub(super) fn request(&self, api: &Api) -> RequestBuilder {
        let url = format!(
            "{}{}",
            self.base_url.as_str().trim_end_matches('/'),
            api.path
        );
        self.http.request(api.method.clone(), url)
    }

    /// The same with a JSON body. WeChat expects literal characters, not `\u` escapes, which is how
    /// `serde_json` writes them.
    pub(super) fn request_with<B: Serialize>(&self, api: &Api, body: &B) -> RequestBuilder {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.request(api)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
    }

    /// Sends `request` to `api`. Every call to WeChat goes through here.
    ///
    /// It is retried only when that is safe: it was not sent, or it is idempotent.
    pub(super) async fn call<T: Answer>(
        &self,
        api: &Api,
        request: RequestBuilder,
    ) -> Result<T, WeChatError> {
        let _permit = self.calls.acquire()?;
        let attempt = || async {
            let request = request
                .try_clone()
                .ok_or_else(|| WeChatError::ConnectionLost("the request can't be sent".into()))?;
            self.guarded(api, request).await
        };
        self.retries
            .idempotent(attempt, |error| error.is_transient(api.idempotent))
            .await
    }

    /// Sends it if the circuit breaker admits it, and reports the outcome.
    async fn guarded<T: Answer>(
        &self,
        api: &Api,
        request: RequestBuilder,
    ) -> Result<T, WeChatError> {
        let permit = self.guard.acquire().await?;
        let (start, allowed) = (Instant::now(), deadline::cap(self.timeout));
        let outcome = self.attempt(api, request).await;
        permit
            .end(self.outcome_of(outcome.as_ref().err(), start.elapsed(), allowed))
            .await;
        outcome
    }

    /// An errcode is a healthy response, too; but a call that the request's deadline cut short says
    /// nothing about WeChat.
    fn outcome_of(
        &self,
        error: Option<&WeChatError>,
        took: Duration,
        allowed: Duration,
    ) -> CallOutcome {
        let cut_short = allowed < self.timeout.min(self.slow_call);
        match error {
            Some(WeChatError::Timeout) if cut_short => CallOutcome::Unknown,
            Some(error) if error.is_failure() => CallOutcome::Failed,
            _ if took >= self.slow_call => CallOutcome::Slow,
            _ => CallOutcome::Good,
        }
    }

    /// WeChat returns errors with HTTP 200, and omits the errcode of most successes.
    async fn attempt<T: Answer>(
        &self,
        api: &Api,
        request: RequestBuilder,
    ) -> Result<T, WeChatError> {
        tracing::debug!(api = api.name, "call to WeChat");
        let start = Instant::now();
        let response = self.exchange::<T>(request).await;
        let errcode = match &response {
            Ok((_, 0)) => None,
            Ok((_, errcode)) => Some(errcode.to_string()),
            Err(error) => Some(error.metric_label()),
        };
        metrics::upstream(WECHAT, errcode, start.elapsed());
        match response? {
            (body, 0) => T::read(body),
            (body, errcode) => Err((api.refusal)(errcode).with_address(&body)),
        }
    }

    /// The response's body and errcode.
    async fn exchange<T: Answer>(
        &self,
        request: RequestBuilder,
    ) -> Result<(Vec<u8>, i64), WeChatError> {
        // The request that makes the call may have less time left.
        let request = request.timeout(deadline::cap(self.timeout));
        let response = request.send().await.map_err(WeChatError::transport)?;
        let status = response.status();
        if !status.is_success() {
            return Err(WeChatError::Status(status.as_u16()));
        }
        let body = read_limited(response, T::MAX_BYTES).await?;
        let errcode = T::errcode(&body)?;
        Ok((body, errcode))
    }

    /// The AppSecret; empty for an unknown app, which WeChat then rejects.
    pub(super) fn secret(&self, app_id: &AppId) -> &str {
        self.apps
            .iter()
            .find(|(id, _)| id == app_id)
            .map_or("", |(_, secret)| secret.expose_secret())
    }
}

async fn read_limited(
    mut response: reqwest::Response,
    max_bytes: usize,
) -> Result<Vec<u8>, WeChatError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(WeChatError::transport)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(WeChatError::Unreadable(
                "longer than any documented answer".into(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The errcode in a JSON object, which omits it for most successes.
pub(super) fn errcode_of(body: &[u8]) -> Result<i64, WeChatError> {
    parse(body).map(|Errcode { errcode }| errcode)
}

/// Responses are objects; serde alone would also accept an array with the fields in order.
///
/// `serde_json`'s errors quote the value, which can be a session key: only its position is
/// reported.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, WeChatError> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(WeChatError::Unreadable("not a JSON object".into()));
    }
    serde_json::from_slice(body).map_err(|error| {
        WeChatError::Unreadable(format!(
            "{:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        ))
    })
}
