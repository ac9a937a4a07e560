//! The cost of cryptography per request: pure functions on one core. Each subject has a function;
//! `criterion_group!` lists them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "made by macros; a bench fails by panicking"
)]

use std::hint::black_box;

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::{
    auth::{Session, Tokens},
    clock::{Clock, ManualClock},
    config::Env,
    crypto::{
        EncryptedData, KeyKind, KeyPair, TransportKey, TransportKeys, is_raw_data_signature,
        jwe::{Enc, Form, RequestHeader, SealedRequest, seal_request},
        session_signature,
    },
    random::Random,
    users::Role,
};

/// The server's side of a sealed request with 1 KiB of content: parse and open it, seal an answer
/// of the same length.
fn sealed_bodies(criterion: &mut Criterion) {
    let keys = TransportKeys(vec![TransportKey::generate("k").unwrap()]);
    let public = keys.first().unwrap().public();
    let (random, content) = (Random::System, [b'x'; 1024]);
    let mut group = criterion.benchmark_group("sealed body, 1 KiB, RSA-2048");
    for enc in Enc::ALL {
        let header = RequestHeader::new(
            enc,
            "k",
            (1_800_000_000, "request"),
            ("POST", "/api/v1/user/login"),
        );
        let (jwe, _) = seal_request(public, &header, &content, Form::Compact, &random).unwrap();
        group.bench_function(
            BenchmarkId::new("open and seal", format!("{enc:?}")),
            |bench| {
                bench.iter(|| {
                    let request =
                        SealedRequest::parse(black_box(jwe.as_bytes()), Form::Compact).unwrap();
                    let (content, answer) =
                        request.open(request.key(&keys).unwrap(), &random).unwrap();
                    answer.seal(&content, None, 1_800_000_001, &random).unwrap()
                });
            },
        );
        let request = SealedRequest::parse(jwe.as_bytes(), Form::Compact).unwrap();
        let (_, answer) = request.open(request.key(&keys).unwrap(), &random).unwrap();
        group.bench_function(BenchmarkId::new("seal", format!("{enc:?}")), |bench| {
            bench.iter(|| {
                answer
                    .seal(black_box(&content), None, 1_800_000_001, &random)
                    .unwrap()
            });
        });
    }
    group.finish();
}

/// WeChat's own sample, 400 bytes: base64 and lengths checked, decrypted, parsed as JSON; and its
/// two signatures.
fn wechat_data(criterion: &mut Criterion) {
    let samples: Value =
        serde_json::from_str(include_str!("../../shared/src/crypto/testdata/wechat.json")).unwrap();
    let text = |of: &str, name: &str| samples[of][name].as_str().unwrap().to_owned();
    let (data, iv) = (
        text("encryptedData", "encryptedData"),
        text("encryptedData", "iv"),
    );
    let key = SecretString::from(text("encryptedData", "sessionKey"));
    let mut group = criterion.benchmark_group("WeChat data");
    group.bench_function("encryptedData, 400 bytes", |bench| {
        bench.iter(|| {
            EncryptedData::parse(black_box(&data), black_box(&iv))
                .unwrap()
                .open(&key)
                .unwrap()
        });
    });
    let (raw, signature) = (text("rawData", "rawData"), text("rawData", "signature"));
    let signed_with = SecretString::from(text("rawData", "sessionKey"));
    group.bench_function("signature of rawData", |bench| {
        bench.iter(|| {
            assert!(is_raw_data_signature(
                black_box(&raw),
                &signed_with,
                &signature
            ));
        });
    });
    group.bench_function("session signature", |bench| {
        bench.iter(|| session_signature(black_box(&key), b""));
    });
    group.finish();
}

/// The cost of each key of `TRANSPORT_KEYS` at a cold start.
fn transport_keys(criterion: &mut Criterion) {
    let pair = KeyPair::generate(KeyKind::Rsa2048).unwrap();
    let der = STANDARD.decode(pair.private.expose_secret()).unwrap();
    criterion.bench_function("transport key, RSA-2048, read at start", |bench| {
        bench.iter(|| TransportKey::from_pkcs8("k", black_box(&der)).unwrap());
    });
}

/// The cost of issuing both tokens (login, refresh), of verifying one (authenticated requests), and
/// of reading the key (cold start).
#[expect(clippy::too_many_lines, reason = "one measurement after the other")]
fn access_tokens(criterion: &mut Criterion) {
    let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
    let session: Session = serde_json::from_value(json!({
        "id": "01a20939-296c-7dce-9b6a-1ab4f3084d8f", "user": "01a20939-2967-7d17-98c2-7448ee036be2",
        "appId": "wx0123456789abcdef", "counter": 7, "ttl": 1_798_000_000,
        "createdAt": "2026-11-23T08:00:00Z", "rotatedAt": "2026-11-23T08:00:00Z",
    }))
    .unwrap();
    let kinds = [
        ("EdDSA", KeyKind::Ed25519),
        ("ES256", KeyKind::P256),
        ("RS256", KeyKind::Rsa2048),
    ];
    let keys = kinds.map(|(name, kind)| {
        (
            name,
            KeyPair::generate(kind)
                .unwrap()
                .private
                .expose_secret()
                .to_owned(),
        )
    });
    let mut group = criterion.benchmark_group("access token");
    for (algorithm, key) in [("HS256", String::new())].into_iter().chain(keys) {
        let read = || {
            let secret = "k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6";
            let env = [
                ("JWT_SECRETS", secret),
                ("JWT_KEYS", &*key),
                ("WECHAT_APPIDS", "wx0123456789abcdef"),
            ];
            Tokens::new(&Env::new(env), Clock::Manual(clock.clone()))
        };
        let tokens = read();
        group.bench_function(BenchmarkId::new("both tokens", algorithm), |bench| {
            bench.iter(|| tokens.issue(black_box(&session), Role::User).unwrap());
        });
        let pair = tokens.issue(&session, Role::User).unwrap();
        group.bench_function(BenchmarkId::new("verify", algorithm), |bench| {
            bench.iter(|| {
                tokens
                    .verify(black_box(pair.access.expose_secret()))
                    .now_or_never()
                    .unwrap()
                    .unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("keys read at start", algorithm), |bench| {
            bench.iter(read);
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    access_tokens,
    sealed_bodies,
    transport_keys,
    wechat_data
);
criterion_main!(benches);
