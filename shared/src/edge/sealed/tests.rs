use std::{sync::LazyLock, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::request,
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    api::{MAX_BODY, Success},
    clock::ManualClock,
    config::Env,
    crypto::{
        PublicKey,
        jwe::{AnswerHeader, Enc, RequestHeader, seal_request},
    },
    edge::Arrival,
    instance::Instance,
};

const NOW: &str = "2026-11-23T08:00:00Z";

static KEY: LazyLock<String> = LazyLock::new(|| {
    let keys: Value =
        serde_json::from_str(include_str!("../../crypto/rsa/data/keys.json")).unwrap();
    keys["rsa_2048"].as_str().unwrap().to_owned()
});

/// An app with a few routes, and a client that seals bodies for it.
struct SealingClient {
    app: Router,
    key: PublicKey,
    kid: String,
    clock: ManualClock,
}

impl SealingClient {
    fn new() -> Self {
        Self::with(&[("TRANSPORT_KEYS", &format!("new:{0},old:{0}", *KEY))])
    }

    fn with(vars: &[(&str, &str)]) -> Self {
        let clock = ManualClock::new(NOW.parse().unwrap());
        let env = Env::new(vars.to_vec()).local_development();
        let instance = Instance::new(env, Clock::Manual(clock.clone()), Random::System);
        let routes = Router::new()
            .route(
                "/echo",
                post(async |body: Bytes| Success(String::from_utf8(body.into()).unwrap())),
            )
            .route(
                "/panic",
                post(async || -> Success<()> { panic!("of the handler") }),
            )
            .route(
                "/slow",
                post(async || tokio::time::sleep(Duration::from_mins(1)).await),
            )
            .route("/plain", get(async || ([("x-mark", "1")], "text")));
        let keys = instance.sealed_bodies().unwrap();
        let first = keys.first().unwrap();
        let jwk = first.public().jwk(first.kid());
        Self {
            app: instance.app(routes).unwrap(),
            key: PublicKey::from_jwk(&jwk).unwrap(),
            kid: jwk.kid,
            clock,
        }
    }

    fn header(&self, jti: &str, method: &str, path: &str) -> RequestHeader {
        let now = Clock::Manual(self.clock.clone()).now_seconds();
        RequestHeader::new(Enc::A256CbcHs512, &self.kid, (now, jti), (method, path))
    }

    fn seal(&self, header: &RequestHeader, content: &str, form: Form) -> (Request, ContentKey) {
        let (jwe, key) =
            seal_request(&self.key, header, content.as_bytes(), form, &Random::System).unwrap();
        let mut request = request(&header.htm, &header.htu, jwe);
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type(form)));
        (request, key)
    }

    fn jwe(&self, header: &RequestHeader) -> String {
        seal_request(&self.key, header, b"{}", Form::Compact, &Random::System)
            .unwrap()
            .0
    }

    /// The status of the response to this JWE.
    async fn post(&self, jwe: &str) -> u16 {
        let mut request = request("POST", "/echo", jwe.to_owned());
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/jose"));
        send(&self.app, request).await.0.status.as_u16()
    }

    /// Sends a valid request and opens the response.
    async fn call(
        &self,
        method: &str,
        path: &str,
        content: &str,
        form: Form,
    ) -> (u16, AnswerHeader, Value) {
        let jti = URL_SAFE_NO_PAD.encode(Random::System.bytes::<16>());
        let (request, key) = self.seal(&self.header(&jti, method, path), content, form);
        let (parts, body) = send(&self.app, request).await;
        assert_eq!(parts.headers[CONTENT_TYPE], media_type(form));
        assert_eq!(parts.headers[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(parts.headers["cache-control"], "no-store");
        let (header, content) = key.open(&body).unwrap();
        assert_eq!(header.jti, jti);
        (
            parts.status.as_u16(),
            header,
            serde_json::from_slice(&content).unwrap_or_default(),
        )
    }
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    request::Builder::new()
        .method(method)
        .uri(path)
        .body(body.into())
        .unwrap()
}

async fn send(app: &Router, request: Request) -> (http::response::Parts, Bytes) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

/// The status and reason of a response that is not sealed.
async fn plain(app: &Router, request: Request) -> (u16, Value) {
    let (parts, body) = send(app, request).await;
    assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
    let envelope: Value = serde_json::from_slice(&body).unwrap();
    (parts.status.as_u16(), envelope["reason"].clone())
}

fn decrypt_failed() -> (u16, Value) {
    (400, json!("decrypt_failed"))
}

#[tokio::test]
async fn a_handler_sees_json_and_its_response_is_sealed_in_the_same_form() {
    let client = SealingClient::new();
    for form in [Form::Compact, Form::Flattened] {
        let (status, header, body) = client.call("POST", "/echo", r#"{"a":1}"#, form).await;
        assert_eq!(
            (status, &body["data"], header.cty.as_deref()),
            (200, &json!(r#"{"a":1}"#), Some("json"))
        );
        assert_eq!(
            header.iat,
            Clock::Manual(client.clock.clone()).now_seconds()
        );
    }
}

#[tokio::test]
async fn error_responses_are_sealed_too() {
    let client = SealingClient::new();
    for (method, path, status, reason) in [
        ("POST", "/nowhere", 404, "not_found"),
        ("PUT", "/echo", 405, "method_not_allowed"),
        ("POST", "/panic", 500, "internal"),
    ] {
        let (code, _, body) = client.call(method, path, "{}", Form::Compact).await;
        assert_eq!((code, &body["reason"]), (status, &json!(reason)), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_past_its_deadline_gets_a_sealed_504() {
    let client = SealingClient::new();
    let start = tokio::time::Instant::now();
    let (code, _, body) = client.call("POST", "/slow", "{}", Form::Compact).await;
    assert_eq!((code, &body["reason"]), (504, &json!("upstream_timeout")));
    assert_eq!(start.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_arrives_gets_a_504() {
    let client = SealingClient::new();
    let mut request = request(
        "POST",
        "/echo",
        Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()),
    );
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/jose"));
    assert_eq!(
        plain(&client.app, request).await,
        (504, json!("upstream_timeout"))
    );
}

#[tokio::test]
async fn any_method_can_be_sealed_and_headers_are_kept() {
    let client = SealingClient::new();
    let (request, key) = client.seal(
        &client.header("j", "GET", "/plain?b=2&a=1"),
        "",
        Form::Compact,
    );
    let (parts, body) = send(&client.app, request).await;
    let (header, content) = key.open(&body).unwrap();
    assert_eq!(
        (&parts.headers["x-mark"], header.cty.as_deref(), &*content),
        (&"1".parse().unwrap(), Some("text/plain"), &b"text"[..])
    );
}

#[tokio::test]
async fn a_body_is_opened_once_and_only_while_it_is_recent() {
    let client = SealingClient::new();
    let jwe = client.jwe(&client.header("once", "POST", "/echo"));
    assert_eq!(
        [client.post(&jwe).await, client.post(&jwe).await],
        [200, 400]
    );
    let (late, _) = client.seal(&client.header("late", "POST", "/echo"), "{}", Form::Compact);
    client.clock.advance_seconds(301);
    assert_eq!(plain(&client.app, late).await, decrypt_failed());
}

#[tokio::test]
async fn a_jti_that_somebody_else_used_is_still_good_for_its_owner() {
    let client = SealingClient::new();
    let header = client.header("seen", "POST", "/echo");
    let (foreign, own) = (client.jwe(&header), client.jwe(&header));
    assert_eq!(
        [client.post(&foreign).await, client.post(&own).await],
        [200, 200]
    );
    assert_eq!(
        [client.post(&foreign).await, client.post(&own).await],
        [400, 400]
    );
}

#[tokio::test]
async fn a_body_in_the_other_form_is_the_same_body() {
    let client = SealingClient::new();
    let jwe = client.jwe(&client.header("j", "POST", "/echo"));
    assert_eq!(client.post(&jwe).await, 200);
    let names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"];
    let flattened: serde_json::Map<_, _> = std::iter::zip(names, jwe.split('.'))
        .map(|(name, part)| (name.to_owned(), part.into()))
        .collect();
    let mut again = request("POST", "/echo", Value::from(flattened).to_string());
    again.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(media_type(Form::Flattened)),
    );
    assert_eq!(plain(&client.app, again).await, decrypt_failed());
}

#[tokio::test]
async fn a_body_is_bound_to_the_access_token_that_is_sent_with_it() {
    let client = SealingClient::new();
    let status = async |sealed_for: Option<&str>, sent: Option<&str>| {
        let jti = URL_SAFE_NO_PAD.encode(Random::System.bytes::<16>());
        let header = client.header(&jti, "POST", "/echo");
        let header = match sealed_for {
            Some(token) => header.for_token(token),
            None => header,
        };
        let (mut request, _) = client.seal(&header, "{}", Form::Compact);
        if let Some(sent) = sent {
            let value = format!("Bearer {sent}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
        }
        send(&client.app, request).await.0.status.as_u16()
    };
    assert_eq!(status(Some("mine"), Some("mine")).await, 200);
    assert_eq!(status(None, None).await, 200);
    for (sealed_for, sent) in [
        (Some("mine"), Some("theirs")),
        (Some("mine"), None),
        (None, Some("mine")),
    ] {
        assert_eq!(
            status(sealed_for, sent).await,
            400,
            "sealed for {sealed_for:?}, sent with {sent:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_refused_before_it_is_opened_is_charged_to_its_address() {
    let key = format!("new:{}", *KEY);
    let client = SealingClient::with(&[
        ("TRANSPORT_KEYS", &key),
        ("RATE_LIMIT_GUEST", "1/h burst 2"),
        ("RATE_LIMIT_SEALED", "1/h burst 1"),
    ]);
    let send_from = async |body: &str| {
        let mut request = request("POST", "/echo", body.to_owned());
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/jose"));
        request.extensions_mut().insert(Arrival {
            peer: Some([203, 0, 113, 7].into()),
            ..Arrival::default()
        });
        let (parts, _) = send(&client.app, request).await;
        parts.status.as_u16()
    };
    let garbage = [
        send_from("").await,
        send_from("a.b.c.d.e").await,
        send_from("x").await,
    ];
    assert_eq!(garbage, [400, 400, 429]);
    // They took nothing from what others seal behind the same address.
    let good = client.jwe(&client.header("j", "POST", "/echo"));
    assert_eq!(send_from(&good).await, 200);
}

#[tokio::test]
async fn a_body_that_fails_to_open_does_not_use_up_its_jti() {
    let client = SealingClient::new();
    let header = client.header("name", "POST", "/echo");
    let (jwe, _) =
        seal_request(&client.key, &header, b"{}", Form::Compact, &Random::System).unwrap();
    let mut forged = request("POST", "/echo", format!("{}AAAA", &jwe[..jwe.len() - 4]));
    forged
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/jose"));
    assert_eq!(plain(&client.app, forged).await, decrypt_failed());
    let (good, _) = client.seal(&header, "{}", Form::Compact);
    assert_eq!(send(&client.app, good).await.0.status, 200);
}

#[tokio::test]
async fn every_failure_gets_the_same_response() {
    let client = SealingClient::new();
    let good = client.header("j", "POST", "/echo");
    let with = |change: fn(&mut RequestHeader)| {
        let mut header = good.clone();
        change(&mut header);
        header
    };
    let wrong = [
        with(|header| header.kid = "other".to_owned()),
        with(|header| header.iat = 0),
        with(|header| header.jti.clear()),
    ];
    for header in wrong {
        let (request, _) = client.seal(&header, "{}", Form::Compact);
        assert_eq!(
            plain(&client.app, request).await,
            decrypt_failed(),
            "{header:?}"
        );
    }
    for (method, uri) in [("PUT", "/echo"), ("POST", "/panic"), ("POST", "/echo?a=1")] {
        let (mut request, _) = client.seal(&good, "{}", Form::Compact);
        (*request.method_mut(), *request.uri_mut()) =
            (method.parse().unwrap(), uri.parse().unwrap());
        assert_eq!(
            plain(&client.app, request).await,
            decrypt_failed(),
            "{method} {uri}"
        );
    }
    for (form, body) in [
        (Form::Compact, ""),
        (Form::Compact, "a.b.c.d.e"),
        (Form::Flattened, "{}"),
        (Form::Flattened, "[]"),
    ] {
        let mut request = request("POST", "/echo", body);
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type(form)));
        assert_eq!(
            plain(&client.app, request).await,
            decrypt_failed(),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_sealed_body_has_the_size_limit_of_any_other() {
    let client = SealingClient::new();
    let (request, _) = client.seal(
        &client.header("j", "POST", "/echo"),
        &"x".repeat(MAX_BODY),
        Form::Compact,
    );
    assert_eq!(
        plain(&client.app, request).await,
        (413, json!("body_too_large"))
    );
    let (status, ..) = client
        .call("POST", "/echo", &"x".repeat(47 * 1024), Form::Compact)
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn old_keys_open_bodies_while_the_first_is_offered() {
    let mut client = SealingClient::new();
    assert_eq!(client.kid, "new");
    client.kid = "old".to_owned();
    assert_eq!(
        client.call("POST", "/echo", "{}", Form::Compact).await.0,
        200
    );
}

#[tokio::test]
async fn local_development_has_a_key_of_its_own() {
    let (one, other) = (SealingClient::with(&[]), SealingClient::with(&[]));
    assert!(one.kid.starts_with("local-") && one.kid != other.kid && one.key != other.key);
    assert_eq!(one.call("POST", "/echo", "{}", Form::Compact).await.0, 200);
}

#[test]
fn without_a_key_sealed_bodies_are_off() {
    let instance = Instance::new(Env::new([("", "")]), Clock::System, Random::System);
    assert!(instance.sealed_bodies().is_none());
}

#[test]
fn invalid_keys_prevent_the_start_and_are_not_shown() {
    let keys: Value =
        serde_json::from_str(include_str!("../../crypto/rsa/data/keys.json")).unwrap();
    let small = keys["rsa_1024"].as_str().unwrap();
    let truncated = STANDARD.encode(&STANDARD.decode(&*KEY).unwrap()[..1000]);
    for (keys, error) in [
        (
            format!("a:{small}"),
            "key 1 is not an RSA key of 2048 to 4096 bits (PKCS#8, DER)",
        ),
        (
            format!("bad,a:{truncated}"),
            "key 1 is not kid:key with the key as base64",
        ),
        (
            format!("bad,a:{truncated}"),
            "key 2 is not an RSA key of 2048 to 4096 bits (PKCS#8, DER)",
        ),
        (format!("a:{0},a:{0}", *KEY), "key 2 has the kid of another"),
        (format!(":{}", *KEY), "key 1 is not kid:key"),
        (format!("a b:{}", *KEY), "key 1 is not kid:key"),
        ((*KEY).clone(), "key 1 is not kid:key"),
        ("a:###".to_owned(), "key 1 is not kid:key"),
    ] {
        let instance = Instance::new(
            Env::new([("TRANSPORT_KEYS", &*keys)]),
            Clock::System,
            Random::System,
        );
        instance.sealed_bodies();
        let errors = instance.app(Router::new()).unwrap_err().to_string();
        assert!(errors.contains(error), "{errors}");
        assert!(
            !errors.contains(&small[..20]) && !errors.contains(&KEY[..20]),
            "{errors}"
        );
    }
}
