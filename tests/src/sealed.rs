//! A client that seals request bodies, as one with a JOSE library would.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use shared::{
    crypto::{
        PublicKey, RsaJwk, TransportKey,
        jwe::{ContentKey, Enc, Form, RequestHeader, seal_request},
    },
    random::Random,
};

use crate::{http::Answer, settings::TRANSPORT_KEY, test_app::Api};

/// The client.
pub struct Sealer {
    key: PublicKey,
    kid: String,
    /// How content is encrypted.
    pub enc: Enc,
    /// How a JWE is written.
    pub form: Form,
    /// Where content keys come from.
    pub random: Random,
}

/// A sealed body, and the key that opens its answer.
pub struct Sealed {
    /// What is sent.
    pub jwe: String,
    /// The content key of the request and its answer.
    pub key: ContentKey,
}

impl Sealer {
    /// A client with the key that `api` offers.
    pub async fn of(api: &Api) -> Self {
        let answer = api.request("GET", "/api/v1/crypto/key").send().await;
        Self::with(answer.ok(200))
    }

    /// A client with the key of [`Settings`](crate::settings::Settings).
    pub fn with_kit_key() -> Self {
        let key = TransportKey::from_pkcs8("t1", &BASE64_STANDARD.decode(TRANSPORT_KEY).unwrap())
            .unwrap();
        Self::with(&serde_json::to_value(key.public().jwk("t1")).unwrap())
    }

    /// A client with the key in `data`.
    pub fn with(data: &Value) -> Self {
        let jwk: RsaJwk = serde_json::from_value(data.clone()).unwrap();
        let key = PublicKey::from_jwk(&jwk).unwrap();
        Self {
            key,
            kid: jwk.kid,
            enc: Enc::A256Gcm,
            form: Form::Compact,
            random: Random::System,
        }
    }

    /// A header for a request made at `now`, in seconds since the epoch, with a unique `jti`.
    pub fn header(&self, now: i64, method: &str, path: &str) -> RequestHeader {
        let jti = BASE64_URL_SAFE_NO_PAD.encode(Random::System.bytes::<16>());
        RequestHeader::new(self.enc, &self.kid, (now, &jti), (method, path))
    }

    /// Seals a body.
    pub fn seal(&self, header: &RequestHeader, body: &Value) -> Sealed {
        let body = body.to_string();
        let (jwe, key) =
            seal_request(&self.key, header, body.as_bytes(), self.form, &self.random).unwrap();
        Sealed { jwe, key }
    }

    /// The media type of what it sends.
    pub fn media_type(&self) -> &'static str {
        match self.form {
            Form::Compact => "application/jose",
            Form::Flattened => "application/jose+json",
        }
    }

    /// Sends a sealed body and opens the answer, which has to be sealed too.
    pub async fn send(
        &self,
        api: &Api,
        now: i64,
        (method, path): (&str, &str),
        body: &Value,
    ) -> Answer {
        let sealed = self.seal(&self.header(now, method, path), body);
        let request = api
            .request(method, path)
            .header("content-type", self.media_type())
            .body(sealed.jwe.as_str());
        let (status, headers, body) = request.send_raw().await;
        self.open(&sealed, status, headers, &body)
    }

    /// The answer inside a sealed one.
    pub fn open(
        &self,
        sealed: &Sealed,
        status: u16,
        mut headers: HeaderMap,
        body: &[u8],
    ) -> Answer {
        assert_eq!(
            headers[CONTENT_TYPE],
            self.media_type(),
            "{status} {}",
            String::from_utf8_lossy(body)
        );
        let (header, content) = sealed.key.open(body).unwrap();
        assert_eq!(header.cty.as_deref(), Some("json"));
        // Inside is an answer like any other.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Answer::new(status, headers, &content)
    }
}
