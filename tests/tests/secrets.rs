//! No secret of a run is in its log, in a failure's body, or anywhere it is stored: a whole story
//! with everything that goes wrong in it, logged at `trace`, and then a search.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    http::{Answer, Client},
    logs::Logs,
    sealed::Sealer,
    settings::{APP_ID, Settings},
    wire_proxy,
    world::{
        Api, CODE2SESSION,
        SharedState::{self, InProcess, Redis},
        Tokens, World, capture, captured,
    },
};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::crypto::{KeyKind, KeyPair};
use shared::{
    clock::Clock,
    config::{Env, WeChatSettings},
    crypto::{AtRest, jwe::Enc, session_signature},
    instance::Instance,
    random::Random,
};
use wechat_simulator::{DataKind, Fault, Garbage, PushFormat, PushMode, PushOrder, UserChange};

const REDIS_PASSWORD: &str = "redis-password-of-the-story-8Kd2";
/// `{"typ":"at+jwt","alg":"EdDSA","kid":"other"}`
const UNKNOWN_KEY: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Im90aGVyIn0";
const WRONG_PASSWORD: &str = "wrong-redis-password-of-the-story-3Mz7";

/// What must never be seen, and what was answered.
#[derive(Default)]
struct Story {
    secrets: Vec<(&'static str, String)>,
    answers: Vec<Answer>,
}

impl Story {
    fn secret(&mut self, name: &'static str, secret: &str) {
        self.secrets.push((name, secret.to_owned()));
    }

    fn tokens(&mut self, tokens: &Tokens) {
        self.secret("an access token", &tokens.access);
        self.secret(
            "an access token's signature",
            tokens.access.rsplit('.').next().unwrap(),
        );
        self.secret("a refresh token", &tokens.refresh);
    }

    fn code(&mut self, world: &World, person: &str) -> String {
        let code = world.code(person);
        self.secret("a code", &code);
        code
    }

    fn phone_code(&mut self, world: &World) -> String {
        let code = world.wechat.phone_code("alice", Some(APP_ID)).unwrap();
        self.secret("a phone code", &code);
        code
    }

    async fn log_in(&mut self, world: &World, api: &Api, person: &str) -> Tokens {
        let code = self.code(world, person);
        let tokens = Tokens::of(&api.login(&code).await);
        self.tokens(&tokens);
        tokens
    }

    fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        Settings::secrets()
            .into_iter()
            .chain([
                ("the password of Redis", REDIS_PASSWORD),
                ("a wrong password", WRONG_PASSWORD),
            ])
            .chain(
                self.secrets
                    .iter()
                    .map(|(name, secret)| (*name, secret.as_str())),
            )
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_or_told_or_stored(#[values(InProcess, Redis)] state: SharedState) {
    capture();
    let plan = World::with(state)
        .proxied()
        .redis_password(REDIS_PASSWORD)
        .set("WECHAT_TIMEOUT_MS", "1000");
    let signing = KeyPair::generate(KeyKind::Ed25519).unwrap();
    // Each failure of WeChat is to be seen, not what stands in front of it.
    let plan = plan.set("BREAKER_MIN_CALLS", "10000");
    let plan = plan.set(
        "JWT_KEYS",
        &format!("story:{}", signing.private.expose_secret()),
    );
    let mut world = plan.set("LOG_LEVEL", "trace").start().await;
    let mut story = Story::default();
    story.secret("the signing key", signing.private.expose_secret());
    let session_key = everyday_life(&world, &mut story).await;
    story.secret("a session key", &session_key);
    hostile_tokens(&world, &mut story).await;
    bad_bodies(&world, &mut story).await;
    pushes(&world, &mut story).await;
    sealed_bodies(&world, &mut story).await;
    trouble_with_wechat(&world, &mut story).await;
    let phone = wechat_data(&world, &mut story).await;
    nothing_is_stored(&world, &story).await;
    // The one thing here that is stored in clear: in its owner's profile.
    story.secret("a phone number", &phone);
    trouble_with_the_stores(&mut world, &mut story).await;

    let log = captured();
    for answer in &story.answers {
        let id = answer.header("x-request-id").unwrap();
        assert!(
            log.contain(id),
            "the log is not whole: nothing of request {id}"
        );
    }
    assert!(!log.contain(r#""message":"panic""#), "a panic");
    log.assert_all_json();
    log.assert_without_secrets(story.named());
    let told = |answer: &Answer| format!("{:?} {}", answer.headers, answer.body);
    let failures = story.answers.iter().filter(|answer| answer.status >= 400);
    let failures: Vec<String> = failures.map(told).collect();
    assert!(failures.len() > 30, "{}", failures.len());
    Logs::new(failures).assert_without_secrets(story.named());
}

/// What goes well. Returns the session key that WeChat gave and gives again.
async fn everyday_life(world: &World, story: &mut Story) -> String {
    let keep = UserChange {
        keep_session_key: Some(true),
        ..UserChange::default()
    };
    world.wechat.change_user("alice", keep).unwrap();
    let code = story.code(world, "alice");
    let first = Tokens::of(&world.api.login(&code).await);
    story.tokens(&first);
    story.answers.push(world.api.login(&code).await);
    let second = Tokens::of(&world.api.refresh(&first.refresh).await);
    story.tokens(&second);
    let other = story.log_in(world, &world.api, "alice").await;
    for answer in [
        world.api.info(&second.access).await,
        world
            .api
            .change(&second.access, &json!({"nickname": "小明"}))
            .await,
        world.api.sessions(&second.access).await,
        world
            .api
            .end_session(&second.access, &other.session_id())
            .await,
        world.api.request("GET", "/health?deep=1").send().await,
    ] {
        answer.ok(200);
        story.answers.push(answer);
    }
    // Reuse, its audit, and the session's end.
    world.clock.advance_seconds(61);
    for (refresh, reason) in [
        (&first.refresh, "refresh_reused"),
        (&second.refresh, "session_revoked"),
    ] {
        let answer = world.api.refresh(refresh).await;
        answer.fails(401, reason);
        story.answers.push(answer);
    }
    story.answers.push(world.api.info(&second.access).await);
    let third = story.log_in(world, &world.api, "alice").await;
    story.answers.push(
        world
            .api
            .logout_with(&third.access, &json!({"all": true}))
            .await,
    );
    story.answers.push(world.api.logout(&third.access).await);
    stored_session_key(world).await
}

async fn stored_session_key(world: &World) -> String {
    let row = world.identity_row(APP_ID, "alice").await;
    let at_rest = AtRest::new(&WeChatSettings::read(&world.env()).data_keys);
    let sealed = row["sessionKey"].as_s().unwrap();
    at_rest
        .open(sealed, row["pk"].as_s().unwrap())
        .unwrap()
        .expose_secret()
        .to_owned()
}

async fn hostile_tokens(world: &World, story: &mut Story) {
    let tokens = story.log_in(world, &world.api, "mallory").await;
    let changed = [
        format!("{}x", tokens.access),
        tokens.access.replace('.', ".."),
        tokens.access.to_lowercase(),
        tokens.refresh.clone(),
        Settings::secrets()[2].1.to_owned(),
        // Signed by a key that nobody has: `kid` is `other`.
        tokens
            .access
            .replacen(tokens.access.split('.').next().unwrap(), UNKNOWN_KEY, 1),
    ];
    for token in &changed {
        story.answers.push(world.api.info(token).await);
        story.answers.push(world.api.refresh(token).await);
        story
            .answers
            .push(world.api.end_session(&tokens.access, token).await);
    }
    for value in [
        format!("Basic {}", tokens.access),
        format!("Bearer {} {}", tokens.access, tokens.refresh),
    ] {
        let request = world
            .api
            .request("GET", "/api/v1/user/info")
            .header("authorization", &value);
        story.answers.push(request.send().await);
    }
    // Where a token does not belong: in a query.
    let query = format!("/api/v1/user/info?access_token={}", tokens.access);
    story
        .answers
        .push(world.api.request("GET", &query).send().await);
}

async fn bad_bodies(world: &World, story: &mut Story) {
    let tokens = story.log_in(world, &world.api, "mallory").await;
    let code = story.code(world, "mallory");
    for body in [
        format!(r#"{{"code":"{code}""#),
        format!(r#"{{"code":"{code}","extra":"{}"}}"#, tokens.refresh),
        format!(r#"{{"code":["{code}"]}}"#),
        format!(r#"{{"code":{{"{code}":1}}}}"#),
        format!(r#"{{"code":"{code}","code":"{code}"}}"#),
        format!(r#"{{"code":"{code} {code}"}}"#),
        format!(r#"{{"code":"{code}","appId":"{}"}}"#, tokens.access),
        format!(r#""{code}""#),
        format!(r#"{{"refreshToken":["{}"]}}"#, tokens.refresh),
    ] {
        for path in ["/api/v1/user/login", "/api/v1/user/refresh"] {
            let request = world
                .api
                .request("POST", path)
                .header("content-type", "application/json");
            let answer = request.body(body.as_bytes()).send().await;
            answer.fails(400, "invalid_request");
            story.answers.push(answer);
        }
    }
}

/// What WeChat pushes, and what others would have it have pushed.
async fn pushes(world: &World, story: &mut Story) {
    story.secret("what a user wrote", "a-word-of-alice-9Tz4");
    story.secret(
        "a user's openid",
        &world.wechat.open_id("pushed", None).unwrap(),
    );
    let order = |name: &str, value: &str| PushOrder {
        user: "pushed".into(),
        message: Some("text".into()),
        fields: [(name.to_owned(), value.into())].into_iter().collect(),
        ..PushOrder::default()
    };
    let modes = [None, Some(PushMode::Plain), Some(PushMode::Compatible)];
    for (mode, format) in modes
        .into_iter()
        .flat_map(|mode| [(mode, PushFormat::Json), (mode, PushFormat::Xml)])
    {
        for order in [
            order("Content", "a-word-of-alice-9Tz4"),
            order("MsgType", "a-word-of-alice-9Tz4"),
        ] {
            let push = world
                .wechat
                .push(&PushOrder {
                    mode,
                    format,
                    ..order
                })
                .unwrap();
            let send = |query: &str, body: &str| {
                let path = format!("/api/v1/wechat/callback?{query}");
                world.api.request("POST", &path).body(body.as_bytes())
            };
            if mode == Some(PushMode::Plain) {
                story
                    .answers
                    .push(send(&push.query, &push.body).send().await);
            } else {
                assert_eq!(send(&push.query, &push.body).send_raw().await.0, 200);
            }
            story.answers.push(
                send(&push.query.replace("nonce=", "nonce=1"), &push.body)
                    .send()
                    .await,
            );
            story.answers.push(
                send(&push.query, &push.body[..push.body.len() - 9])
                    .send()
                    .await,
            );
            let token = Settings::secrets()[6].1;
            story.answers.push(
                send(
                    &push
                        .query
                        .replace("timestamp=", &format!("timestamp={token}")),
                    "",
                )
                .send()
                .await,
            );
        }
    }
}

/// A sealed login, and all ways in which one is refused.
async fn sealed_bodies(world: &World, story: &mut Story) {
    let mut client = Sealer::of(&world.api).await;
    let now = Clock::Manual(world.clock.clone()).now_seconds();
    let path = "/api/v1/user/login";
    for (seed, enc) in (1..).zip(Enc::ALL) {
        (client.enc, client.random) = (enc, Random::seeded(seed));
        let cek = content_key(enc, &Random::seeded(seed));
        story.secret("a content key", &hex(&cek));
        story.secret(
            "a content key in base64",
            &BASE64_URL_SAFE_NO_PAD.encode(&cek),
        );
        story.secret(
            "a content key as Debug prints bytes",
            &format!("{:?}", &cek[..16]),
        );
        let body = json!({"code": story.code(world, "alice")});
        story.secret("a sealed plaintext", &body.to_string());
        let sealed = client.seal(&client.header(now, "POST", path), &body);
        let post = |path: &str, body: &str| {
            world
                .api
                .request("POST", path)
                .header("content-type", client.media_type())
                .body(body)
        };
        let (status, headers, answer) = post(path, &sealed.jwe).send_raw().await;
        let opened = client.open(&sealed, status, headers, &answer);
        story.tokens(&Tokens::of(&opened));
        let fresh = client.seal(&client.header(now, "POST", path), &body);
        let old = client.seal(&client.header(0, "POST", path), &body);
        let half = &fresh.jwe[..fresh.jwe.len() / 2];
        let changed = fresh.jwe.replace('A', "B");
        for (path, jwe) in [
            (path, &*sealed.jwe),
            (path, &old.jwe),
            ("/api/v1/user/refresh", &fresh.jwe),
            (path, half),
            (path, &changed),
        ] {
            let answer = post(path, jwe).send().await;
            answer.fails(400, "decrypt_failed");
            story.answers.push(answer);
        }
        let refused = client
            .send(
                &world.api,
                now,
                ("POST", path),
                &json!({"code": [body.to_string()]}),
            )
            .await;
        refused.fails(400, "invalid_request");
        story.answers.push(refused);
    }
}

/// What the client draws first.
fn content_key(enc: Enc, random: &Random) -> Vec<u8> {
    (0..enc.key_len() / 32)
        .flat_map(|_| random.bytes::<32>())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

async fn trouble_with_wechat(world: &World, story: &mut Story) {
    let faults = [
        Fault {
            reset: true,
            ..Fault::default()
        },
        Fault {
            latency_ms: Some(5_000),
            ..Fault::default()
        },
        Fault {
            garbage: Garbage::Noise,
            ..Fault::default()
        },
        Fault {
            garbage: Garbage::Truncated,
            ..Fault::default()
        },
        Fault {
            status: Some(500),
            ..Fault::default()
        },
        Fault {
            status: Some(302),
            ..Fault::default()
        },
        Fault {
            errcode: Some(-1),
            ..Fault::default()
        },
        Fault {
            errcode: Some(40125),
            ..Fault::default()
        },
        Fault {
            errcode: Some(40164),
            ..Fault::default()
        },
        Fault {
            errcode: Some(99999),
            ..Fault::default()
        },
    ];
    for fault in faults {
        world.wechat_fails(fault);
        let code = story.code(world, "alice");
        let answer = world.api.login(&code).await;
        assert!(answer.status >= 500, "{answer:?}");
        story.answers.push(answer);
    }
    world.wechat.clear_faults();
    for fault in [wire_proxy::Fault::Refuse, wire_proxy::Fault::BlackHole] {
        world.proxies().wechat.set(fault).await;
        world.proxies().wechat.reset();
        let code = story.code(world, "alice");
        let answer = world.api.login(&code).await;
        assert!(answer.status >= 500, "{answer:?}");
        story.answers.push(answer);
    }
    world.proxies().wechat.heal().await;
    world.proxies().wechat.reset();
    let nowhere = world
        .another_instance_with(&[("WECHAT_BASE_URL", "https://no-such-host.invalid")])
        .await;
    let code = story.code(world, "alice");
    story.answers.push(nowhere.login(&code).await);
    // Somebody else used the code before.
    let code = story.code(world, "alice");
    used_elsewhere(world, &code).await;
    let answer = world.api.login(&code).await;
    answer.fails(400, "code_used");
    story.answers.push(answer);
}

/// What WeChat encrypts and knows, with all that goes wrong with it. Returns the phone number.
async fn wechat_data(world: &World, story: &mut Story) -> String {
    const PHONE: &str = "13912345678";
    let change = UserChange {
        phone: Some(PHONE.into()),
        ..UserChange::default()
    };
    world.wechat.change_user("alice", change).unwrap();
    let tokens = story.log_in(world, &world.api, "alice").await;
    let session_key = stored_session_key(world).await;
    story.secret("a session key", &session_key);
    let (data, sealed) = (
        wechat_body(world, DataKind::Phone),
        wechat_body(world, DataKind::UserInfo),
    );
    let message = json!(
        world
            .wechat
            .encrypted_message("alice", r#"{"order":7}"#, Some(APP_ID))
            .unwrap()
    );
    let code = story.phone_code(world);
    for answer in [
        world.api.decrypt(&tokens.access, &sealed).await,
        world.api.decrypt(&tokens.access, &data).await,
        world.api.bind_phone(&tokens.access, &code).await,
        world.api.message(&tokens.access, &message).await,
    ] {
        answer.ok(200);
    }
    told_by_wechat(world, story, &session_key).await;
    for (path, errcode) in [
        ("/wxa/business/getuserphonenumber", 40001),
        ("/wxa/business/getuserphonenumber", 40029),
        ("/wxa/business/getuserphonenumber", 45009),
        ("/wxa/checksession", 87009),
        ("/wxa/resetusersessionkey", -1),
    ] {
        let fault = Fault {
            path: Some(path.into()),
            errcode: Some(errcode),
            ..Fault::default()
        };
        world.wechat.set_faults([fault]).unwrap();
        let code = story.phone_code(world);
        story
            .answers
            .push(world.api.bind_phone(&tokens.access, &code).await);
        let mut checked = data.clone();
        checked["checkSession"] = true.into();
        story
            .answers
            .push(world.api.decrypt(&tokens.access, &checked).await);
        story
            .answers
            .push(world.api.reset_session_key(&tokens.access).await);
    }
    world
        .wechat
        .set_faults([Fault {
            garbage: Garbage::Truncated,
            ..Fault::default()
        }])
        .unwrap();
    let code = story.phone_code(world);
    story
        .answers
        .push(world.api.bind_phone(&tokens.access, &code).await);
    world.wechat.clear_faults();
    // Secrets where they don't belong.
    for body in [
        json!({"encryptedData": session_key, "iv": session_key}),
        json!({"encryptedData": session_key, "iv": session_key, "sessionKey": session_key}),
        json!({"encryptedData": [session_key], "iv": session_key}),
        json!({"code": [code]}),
    ] {
        for path in [
            "/api/v1/user/decrypt",
            "/api/v1/user/phone",
            "/api/v1/user/message",
        ] {
            let answer = world
                .api
                .request("POST", path)
                .bearer(&tokens.access)
                .json(&body)
                .send()
                .await;
            assert!(answer.status >= 400, "{answer:?}");
            story.answers.push(answer);
        }
    }
    story.secret("a session key", &stored_session_key(world).await);
    PHONE.to_owned()
}

fn wechat_body(world: &World, kind: DataKind) -> Value {
    json!(
        world
            .wechat
            .encrypted_data("alice", kind, Some(APP_ID))
            .unwrap()
    )
}

/// What the backend got from WeChat, asked for by another server: the access token and the
/// encryption keys.
async fn told_by_wechat(world: &World, story: &mut Story, session_key: &str) {
    let wechat = Client::new(world.env().get("WECHAT_BASE_URL").unwrap());
    let secret = Settings::secrets()[0].1;
    let body = json!({"grant_type": "client_credential", "appid": APP_ID, "secret": secret});
    let (_, _, answer) = wechat.post("/cgi-bin/stable_token", &body).send_raw().await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    story.secret("WeChat's access token", token);
    let signature = session_signature(&session_key.into(), b"");
    story.secret("a session signature", &signature);
    let open_id = world.wechat.open_id("alice", Some(APP_ID)).unwrap();
    let query = format!(
        "access_token={token}&openid={open_id}&signature={signature}&sig_method=hmac_sha256"
    );
    let keys = wechat
        .get(&format!("/wxa/business/getuserencryptkey?{query}"))
        .send_raw()
        .await
        .2;
    let keys: Value = serde_json::from_slice(&keys).unwrap();
    for key in keys["key_info_list"].as_array().unwrap() {
        story.secret("an encryption key", key["encrypt_key"].as_str().unwrap());
    }
}

async fn used_elsewhere(world: &World, code: &str) {
    let wechat = Client::new(world.env().get("WECHAT_BASE_URL").unwrap());
    let secret = Settings::secrets()[0].1;
    let query =
        format!("appid={APP_ID}&secret={secret}&js_code={code}&grant_type=authorization_code");
    let (status, _, _) = wechat
        .request("GET", &format!("{CODE2SESSION}?{query}"))
        .send_raw()
        .await;
    assert_eq!(status, 200);
}

/// Neither rows nor shared state hold a secret in clear.
async fn nothing_is_stored(world: &World, story: &Story) {
    let rows = world
        .rows()
        .await
        .into_values()
        .map(|row| format!("{row:?}"));
    Logs::new(rows.collect()).assert_without_secrets(story.named());
    let Some(url) = world.env().get("REDIS_URL").map(str::to_owned) else {
        return;
    };
    let mut redis = redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(!keys.is_empty());
    let mut found = Vec::new();
    for key in keys {
        let value: Vec<u8> = redis::cmd("GET")
            .arg(&key)
            .query_async(&mut redis)
            .await
            .unwrap();
        found.push(format!("{key} {}", String::from_utf8_lossy(&value)));
    }
    Logs::new(found).assert_without_secrets(story.named());
}

async fn trouble_with_the_stores(world: &mut World, story: &mut Story) {
    let tokens = story.log_in(world, &world.api, "alice").await;
    world
        .proxies()
        .dynamodb
        .set(wire_proxy::Fault::Refuse)
        .await;
    world.proxies().dynamodb.reset();
    let code = story.code(world, "alice");
    for answer in [
        world.api.login(&code).await,
        world.api.refresh(&tokens.refresh).await,
    ] {
        answer.fails(503, "unavailable");
        story.answers.push(answer);
    }
    world.proxies().dynamodb.heal().await;
    if world.env().get("REDIS_URL").is_none() {
        return;
    }
    let url = format!(
        "redis://default:{WRONG_PASSWORD}@127.0.0.1:{}/",
        world.redis().port()
    );
    let locked_out = world.another_instance_with(&[("REDIS_URL", &url)]).await;
    story.log_in(world, &locked_out, "alice").await;
    world.redis().kill();
    let tokens = story.log_in(world, &world.api, "alice").await;
    let answer = world.api.logout(&tokens.access).await;
    assert_eq!(world.log_line(&answer)["degraded"], true);
    story.answers.push(answer);
}

/// What is wrong with settings is told by name: a start that is refused must not show them.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_refused_are_not_quoted(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let names = [
        "JWT_SECRETS",
        "DATA_KEYS",
        "JWT_KEYS",
        "TRANSPORT_KEYS",
        "WECHAT_SECRETS",
        "REDIS_URL",
        "WECHAT_BASE_URL",
        "REFRESH_GRACE_SECONDS",
        "MESSAGE_PUSH",
    ];
    let env = Env::new(names.map(|name| (name, "hunter2-hunter2")));
    let instance = Instance::new(env, Clock::System, Random::System);
    let refused = instance
        .app(local::routes(&instance))
        .unwrap_err()
        .to_string();
    for name in names {
        assert!(refused.contains(name), "{name}: {refused}");
    }
    assert!(!refused.contains("hunter2"), "{refused}");
    let health: Value = world.api.request("GET", "/health").send().await.body;
    assert_eq!(health["data"]["status"], "ok");
}
