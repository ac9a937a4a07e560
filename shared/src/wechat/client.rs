//! Calls to WeChat, each with a deadline.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{WeChatError, errcode};
use crate::{
    config::WeChatSettings,
    ids::{AppId, OpenId, UnionId},
};

/// Larger than any documented answer.
const MAX_ANSWER: usize = 64 * 1024;
/// WeChat closes idle connections; one that slept longer (a frozen instance) is not worth a try.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// What code2Session answers.
#[derive(Debug)]
pub struct CodeSession {
    /// Who, in this mini-program.
    pub open_id: OpenId,
    /// Who, across mini-programs.
    pub union_id: Option<UnionId>,
    /// 16 bytes as base64.
    pub session_key: SecretString,
}

/// The client. Keep one per instance: it holds the connections.
pub struct WeChat {
    http: Client,
    base_url: Url,
    apps: Vec<(AppId, SecretString)>,
}

#[derive(Deserialize)]
struct Errcode {
    #[serde(default)]
    errcode: i64,
}

#[derive(Deserialize)]
struct CodeSessionAnswer {
    openid: OpenId,
    session_key: SecretString,
    unionid: Option<String>,
}

impl WeChat {
    /// A client as `settings` say.
    ///
    /// # Panics
    /// At start, when no TLS can be set up.
    #[must_use]
    pub fn new(settings: &WeChatSettings) -> Self {
        #[allow(clippy::expect_used, reason = "start-up: without TLS nothing can work")]
        let http = Client::builder()
            .tls_backend_preconfigured(tls_config(settings.base_url.scheme() == "https"))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(POOL_IDLE)
            // A redirect would carry the secret to another place.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("an HTTP client");
        let apps = settings.apps.iter().map(|(id, secret)| (id.clone(), secret.clone())).collect();
        Self { http, base_url: settings.base_url.clone(), apps }
    }

    /// The mini-program that a client means: the named one if it is ours, the first where none is named.
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
    /// [`WeChatError`] when there is no connection; calls will try again.
    pub async fn connect(&self) -> Result<(), WeChatError> {
        self.http.head(self.base_url.clone()).send().await.map(drop).map_err(WeChatError::transport)
    }

    /// code2Session: who is behind a code of `wx.login`. A code works once, so this is never sent twice.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn code_to_session(&self, app_id: &AppId, code: &SecretString) -> Result<CodeSession, WeChatError> {
        let secret = self.apps.iter().find(|(id, _)| id == app_id).map_or("", |(_, secret)| secret.expose_secret());
        let query = [
            ("appid", app_id.as_str()),
            ("secret", secret),
            ("js_code", code.expose_secret()),
            ("grant_type", "authorization_code"),
        ];
        let request = self.http.get(self.url("/sns/jscode2session")).query(&query);
        let answer: CodeSessionAnswer = self.call(request).await?;
        if !is_session_key(&answer.session_key) {
            return Err(WeChatError::Unreadable("session_key is not 16 bytes as base64".into()));
        }
        // A malformed union id is as good as none: it is optional.
        let union_id = answer.unionid.and_then(|id| UnionId::try_from(id).ok());
        Ok(CodeSession { open_id: answer.openid, union_id, session_key: answer.session_key })
    }

    /// WeChat answers errors with HTTP 200, and success mostly without an errcode.
    async fn call<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, WeChatError> {
        let answer = request.send().await.map_err(WeChatError::transport)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(WeChatError::Status(status.as_u16()));
        }
        let body = read_limited(answer).await?;
        let Errcode { errcode } = parse(&body)?;
        errcode::check(errcode)?;
        parse(&body)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.as_str().trim_end_matches('/'))
    }
}

async fn read_limited(mut answer: reqwest::Response) -> Result<Vec<u8>, WeChatError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(WeChatError::transport)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(WeChatError::Unreadable("longer than any documented answer".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An AES-128 key as base64 text.
fn is_session_key(text: &SecretString) -> bool {
    STANDARD.decode(text.expose_secret()).is_ok_and(|key| key.len() == 16)
}

/// Answers are objects; serde would take an array for one, its fields in order.
///
/// `serde_json`'s errors about data quote the value, which can be a session key: only where it stood is told.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, WeChatError> {
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

/// The one TLS stack of all clients; no roots are parsed where they are not needed.
fn tls_config(https: bool) -> rustls::ClientConfig {
    let roots = if https { webpki_roots::TLS_SERVER_ROOTS.to_vec() } else { Vec::new() };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[allow(clippy::expect_used, reason = "start-up, and the provider supports its own versions")]
    rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(rustls::RootCertStore { roots })
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_an_answer() {
        assert!(parse::<CodeSessionAnswer>(br#"["o1","tiihtNczf5v6AKRyjwEUhQ==",null]"#).is_err());
        assert!(parse::<CodeSessionAnswer>(br#" {"openid":"o1","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#).is_ok());
    }

    #[test]
    fn a_session_key_is_sixteen_bytes() {
        assert!(is_session_key(&"tiihtNczf5v6AKRyjwEUhQ==".into()));
        for bad in ["", "tiihtNczf5v6AKRyjwEU", "not base64", "tiihtNczf5v6AKRyjwEUhQ==tiih"] {
            assert!(!is_session_key(&bad.into()), "{bad}");
        }
    }

    #[test]
    fn an_error_about_an_answer_does_not_quote_it() {
        let error = parse::<CodeSessionAnswer>(br#"{"openid":"o1","session_key":["hunter2"]}"#).err().unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(matches!(error, WeChatError::Unreadable(_)));
    }
}
