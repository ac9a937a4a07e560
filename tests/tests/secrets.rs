//! No secret of a run is in its log, in a failure's body, or stored in clear: a long scenario with
//! many failures, logged at `trace`, and then a search.
//!
//! A binary of its own, because the search covers the whole log of the process: a failing test
//! beside it would fail this one, too.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is read from top to bottom"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    http::{Answer, Client},
    logs::Logs,
    sealed::Sealer,
    settings::{APP_ID, Settings},
    test_app::{
        Api, CODE2SESSION,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
    upload::{PNG, post_form},
    wire_proxy,
};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::crypto::{KeyKind, KeyPair};
use shared::{
    clock::Clock,
    config::{DataKeySettings, Env},
    crypto::{AtRest, jwe::Enc, session_signature},
    instance::Instance,
    random::Random,
};
use wechat_simulator::{DataKind, Fault, Garbage, PushFormat, PushMode, PushOrder, UserChange};

const REDIS_PASSWORD: &str = "redis-password-of-the-scenario-8Kd2";
/// `{"typ":"at+jwt","alg":"EdDSA","kid":"other"}`
const UNKNOWN_KEY: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Im90aGVyIn0";
const WRONG_PASSWORD: &str = "wrong-redis-password-of-the-scenario-3Mz7";

/// The secrets and the answers of the scenario.
#[derive(Default)]
struct Scenario {
    secrets: Vec<(&'static str, String)>,
    answers: Vec<Answer>,
}

impl Scenario {
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

    fn code(&mut self, app: &TestApp, person: &str) -> String {
        let code = app.code(person);
        self.secret("a code", &code);
        code
    }

    fn phone_code(&mut self, app: &TestApp) -> String {
        let code = app.wechat.phone_code("alice", Some(APP_ID)).unwrap();
        self.secret("a phone code", &code);
        code
    }

    async fn log_in(&mut self, app: &TestApp, api: &Api, person: &str) -> Tokens {
        let code = self.code(app, person);
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
async fn no_secret_is_logged_returned_or_stored(#[values(InProcess, Redis)] state: SharedState) {
    let log_capture = capture();
    let builder = TestApp::builder(state)
        .proxied()
        .redis_password(REDIS_PASSWORD)
        .set("WECHAT_TIMEOUT_MS", "1000");
    let signing = KeyPair::generate(KeyKind::Ed25519).unwrap();
    // Every call must reach WeChat, not the breaker.
    let builder = builder.set("BREAKER_MIN_CALLS", "10000");
    let builder = builder.set(
        "JWT_KEYS",
        &format!("scenario:{}", signing.private.expose_secret()),
    );
    let mut app = builder.set("LOG_LEVEL", "trace").start().await;
    let mut scenario = Scenario::default();
    scenario.secret("the signing key", signing.private.expose_secret());
    let session_key = everyday_life(&app, &mut scenario).await;
    scenario.secret("a session key", &session_key);
    hostile_tokens(&app, &mut scenario).await;
    bad_bodies(&app, &mut scenario).await;
    pushes(&app, &mut scenario).await;
    sealed_bodies(&app, &mut scenario).await;
    wechat_failures(&app, &mut scenario).await;
    let phone = wechat_data(&app, &mut scenario).await;
    nothing_is_stored(&app, &scenario).await;
    // The only one that is stored in clear, in its owner's profile.
    scenario.secret("a phone number", &phone);
    administrators(&app, &mut scenario).await;
    store_failures(&mut app, &mut scenario).await;

    let log = log_capture.logs();
    for answer in &scenario.answers {
        let id = answer.header("x-request-id").unwrap();
        assert!(
            log.contain(id),
            "the log is incomplete: nothing about request {id}"
        );
    }
    assert!(!log.contain(r#""message":"panic""#), "a panic");
    log.assert_all_json();
    log.assert_without_secrets(scenario.named());
    let text = |answer: &Answer| format!("{:?} {}", answer.headers, answer.body);
    let failures = scenario
        .answers
        .iter()
        .filter(|answer| answer.status >= 400);
    let failures: Vec<String> = failures.map(text).collect();
    assert!(failures.len() > 30, "{}", failures.len());
    Logs::new(failures).assert_without_secrets(scenario.named());
}

/// The successful part. Returns the session key, which WeChat keeps.
async fn everyday_life(app: &TestApp, scenario: &mut Scenario) -> String {
    let keep = UserChange {
        keep_session_key: Some(true),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", keep).unwrap();
    let code = scenario.code(app, "alice");
    let first = Tokens::of(&app.api.login(&code).await);
    scenario.tokens(&first);
    scenario.answers.push(app.api.login(&code).await);
    let second = Tokens::of(&app.api.refresh(&first.refresh).await);
    scenario.tokens(&second);
    let other = scenario.log_in(app, &app.api, "alice").await;
    for answer in [
        app.api.info(&second.access).await,
        app.api
            .change(&second.access, &json!({"nickname": "小明"}))
            .await,
        app.api.sessions(&second.access).await,
        app.api
            .end_session(&second.access, &other.session_id())
            .await,
        app.api.request("GET", "/health?deep=1").send().await,
    ] {
        answer.ok(200);
        scenario.answers.push(answer);
    }
    // Reuse, its audit, and the session's end.
    app.clock.advance_seconds(61);
    for (refresh, reason) in [
        (&first.refresh, "refresh_reused"),
        (&second.refresh, "session_revoked"),
    ] {
        let answer = app.api.refresh(refresh).await;
        answer.fails(401, reason);
        scenario.answers.push(answer);
    }
    scenario.answers.push(app.api.info(&second.access).await);
    let third = scenario.log_in(app, &app.api, "alice").await;
    scenario.answers.push(
        app.api
            .logout_with(&third.access, &json!({"all": true}))
            .await,
    );
    scenario.answers.push(app.api.logout(&third.access).await);
    stored_session_key(app).await
}

async fn stored_session_key(app: &TestApp) -> String {
    let row = app.identity_row(APP_ID, "alice").await;
    let at_rest = AtRest::new(&DataKeySettings::read(&app.env()).keys);
    let sealed = row["sessionKey"].as_s().unwrap();
    at_rest
        .open(sealed, row["pk"].as_s().unwrap())
        .unwrap()
        .expose_secret()
        .to_owned()
}

async fn hostile_tokens(app: &TestApp, scenario: &mut Scenario) {
    let tokens = scenario.log_in(app, &app.api, "mallory").await;
    let changed = [
        format!("{}x", tokens.access),
        tokens.access.replace('.', ".."),
        tokens.access.to_lowercase(),
        tokens.refresh.clone(),
        Settings::secrets()[2].1.to_owned(),
        // With an unknown key: `kid` is `other`.
        tokens
            .access
            .replacen(tokens.access.split('.').next().unwrap(), UNKNOWN_KEY, 1),
    ];
    for token in &changed {
        scenario.answers.push(app.api.info(token).await);
        scenario.answers.push(app.api.refresh(token).await);
        scenario
            .answers
            .push(app.api.end_session(&tokens.access, token).await);
    }
    for value in [
        format!("Basic {}", tokens.access),
        format!("Bearer {} {}", tokens.access, tokens.refresh),
    ] {
        let request = app
            .api
            .request("GET", "/api/v1/user/info")
            .header("authorization", &value);
        scenario.answers.push(request.send().await);
    }
    // A token in the query, where it does not belong.
    let query = format!("/api/v1/user/info?access_token={}", tokens.access);
    scenario
        .answers
        .push(app.api.request("GET", &query).send().await);
}

async fn bad_bodies(app: &TestApp, scenario: &mut Scenario) {
    let tokens = scenario.log_in(app, &app.api, "mallory").await;
    let code = scenario.code(app, "mallory");
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
            let request = app
                .api
                .request("POST", path)
                .header("content-type", "application/json");
            let answer = request.body(body.as_bytes()).send().await;
            answer.fails(400, "invalid_request");
            scenario.answers.push(answer);
        }
    }
}

/// Genuine and forged pushes.
async fn pushes(app: &TestApp, scenario: &mut Scenario) {
    scenario.secret("what a user wrote", "a-word-of-alice-9Tz4");
    scenario.secret(
        "a user's openid",
        &app.wechat.open_id("pushed", None).unwrap(),
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
            let push = app
                .wechat
                .push(&PushOrder {
                    mode,
                    format,
                    ..order
                })
                .unwrap();
            let send = |query: &str, body: &str| {
                let path = format!("/api/v1/wechat/callback?{query}");
                app.api.request("POST", &path).body(body.as_bytes())
            };
            if mode == Some(PushMode::Plain) {
                scenario
                    .answers
                    .push(send(&push.query, &push.body).send().await);
            } else {
                assert_eq!(send(&push.query, &push.body).send_raw().await.0, 200);
            }
            scenario.answers.push(
                send(&push.query.replace("nonce=", "nonce=1"), &push.body)
                    .send()
                    .await,
            );
            scenario.answers.push(
                send(&push.query, &push.body[..push.body.len() - 9])
                    .send()
                    .await,
            );
            let token = Settings::secrets()[6].1;
            scenario.answers.push(
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

/// A sealed login, and every way in which one is refused.
async fn sealed_bodies(app: &TestApp, scenario: &mut Scenario) {
    let mut client = Sealer::of(&app.api).await;
    let now = Clock::Manual(app.clock.clone()).now_seconds();
    let path = "/api/v1/user/login";
    for (seed, enc) in (1..).zip(Enc::ALL) {
        (client.enc, client.random) = (enc, Random::seeded(seed));
        let cek = content_key(enc, &Random::seeded(seed));
        scenario.secret("a content key", &hex(&cek));
        scenario.secret(
            "a content key in base64",
            &BASE64_URL_SAFE_NO_PAD.encode(&cek),
        );
        scenario.secret(
            "a content key as Debug prints bytes",
            &format!("{:?}", &cek[..16]),
        );
        let body = json!({"code": scenario.code(app, "alice")});
        scenario.secret("a sealed plaintext", &body.to_string());
        let sealed = client.seal(&client.header(now, "POST", path), &body);
        let post = |path: &str, body: &str| {
            app.api
                .request("POST", path)
                .header("content-type", client.media_type())
                .body(body)
        };
        let (status, headers, answer) = post(path, &sealed.jwe).send_raw().await;
        let opened = client.open(&sealed, status, headers, &answer);
        scenario.tokens(&Tokens::of(&opened));
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
            scenario.answers.push(answer);
        }
        let refused = client
            .send(
                &app.api,
                now,
                ("POST", path),
                &json!({"code": [body.to_string()]}),
            )
            .await;
        refused.fails(400, "invalid_request");
        scenario.answers.push(refused);
    }
}

/// The first random bytes that the client draws.
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

async fn wechat_failures(app: &TestApp, scenario: &mut Scenario) {
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
        app.fail_code2session(fault);
        let code = scenario.code(app, "alice");
        let answer = app.api.login(&code).await;
        assert!(answer.status >= 500, "{answer:?}");
        scenario.answers.push(answer);
    }
    app.wechat.clear_faults();
    for fault in [wire_proxy::Fault::Refuse, wire_proxy::Fault::BlackHole] {
        app.proxies().wechat.set(fault).await;
        app.proxies().wechat.reset();
        let code = scenario.code(app, "alice");
        let answer = app.api.login(&code).await;
        assert!(answer.status >= 500, "{answer:?}");
        scenario.answers.push(answer);
    }
    app.proxies().wechat.heal().await;
    app.proxies().wechat.reset();
    let nowhere = app
        .another_instance_with(&[("WECHAT_BASE_URL", "https://no-such-host.invalid")])
        .await;
    let code = scenario.code(app, "alice");
    scenario.answers.push(nowhere.login(&code).await);
    // Another server has redeemed the code.
    let code = scenario.code(app, "alice");
    used_elsewhere(app, &code).await;
    let answer = app.api.login(&code).await;
    answer.fails(400, "code_used");
    scenario.answers.push(answer);
}

/// Encrypted data and the phone number, with their failures. Returns the phone number.
async fn wechat_data(app: &TestApp, scenario: &mut Scenario) -> String {
    const PHONE: &str = "13912345678";
    let change = UserChange {
        phone: Some(PHONE.into()),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    let tokens = scenario.log_in(app, &app.api, "alice").await;
    let session_key = stored_session_key(app).await;
    scenario.secret("a session key", &session_key);
    let (data, sealed) = (
        wechat_body(app, DataKind::Phone),
        wechat_body(app, DataKind::UserInfo),
    );
    let message = json!(
        app.wechat
            .encrypted_message("alice", r#"{"order":7}"#, Some(APP_ID))
            .unwrap()
    );
    let code = scenario.phone_code(app);
    for answer in [
        app.api.decrypt(&tokens.access, &sealed).await,
        app.api.decrypt(&tokens.access, &data).await,
        app.api.bind_phone(&tokens.access, &code).await,
        app.api.message(&tokens.access, &message).await,
    ] {
        answer.ok(200);
    }
    exported(app, scenario, &tokens).await;
    tickets(app, scenario, PHONE).await;
    values_from_wechat(app, scenario, &session_key).await;
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
        app.wechat.set_faults([fault]).unwrap();
        let code = scenario.phone_code(app);
        scenario
            .answers
            .push(app.api.bind_phone(&tokens.access, &code).await);
        let mut checked = data.clone();
        checked["checkSession"] = true.into();
        scenario
            .answers
            .push(app.api.decrypt(&tokens.access, &checked).await);
        scenario
            .answers
            .push(app.api.reset_session_key(&tokens.access).await);
    }
    app.wechat
        .set_faults([Fault {
            garbage: Garbage::Truncated,
            ..Fault::default()
        }])
        .unwrap();
    let code = scenario.phone_code(app);
    scenario
        .answers
        .push(app.api.bind_phone(&tokens.access, &code).await);
    app.wechat.clear_faults();
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
            let answer = app
                .api
                .request("POST", path)
                .bearer(&tokens.access)
                .json(&body)
                .send()
                .await;
            assert!(answer.status >= 400, "{answer:?}");
            scenario.answers.push(answer);
        }
    }
    scenario.secret("a session key", &stored_session_key(app).await);
    PHONE.to_owned()
}

fn wechat_body(app: &TestApp, kind: DataKind) -> Value {
    json!(
        app.wechat
            .encrypted_data("alice", kind, Some(APP_ID))
            .unwrap()
    )
}

/// Others have alice's number, too. One uses the ticket, after failures; the other's stays in the table.
async fn tickets(app: &TestApp, scenario: &mut Scenario, phone: &str) {
    for person in ["tina", "tom"] {
        let change = UserChange {
            phone: Some(phone.into()),
            ..UserChange::default()
        };
        app.wechat.change_user(person, change).unwrap();
        let code = scenario.code(app, person);
        let phone_code = app.wechat.phone_code(person, Some(APP_ID)).unwrap();
        scenario.secret("a phone code", &phone_code);
        let login = app.api.login_with_phone(&code, &phone_code).await;
        let ticket = login.ok(200)["phone"]["ticket"].as_str().unwrap();
        scenario.secret("a ticket", ticket);
        let tokens = Tokens::of(&login);
        scenario.tokens(&tokens);
        let access = &tokens.access;
        let other = scenario.log_in(app, &app.api, person).await;
        for (access, choice) in [(access, "take"), (access, ticket), (&other.access, "merge")] {
            let answer = app.api.resolve_phone(access, ticket, choice).await;
            assert!(answer.status >= 400, "{answer:?}");
            scenario.answers.push(answer);
        }
        let request = app.api.request("POST", "/api/v1/user/phone/resolve");
        let body = json!({"ticket": [ticket], "choice": "merge", "code": ticket});
        scenario
            .answers
            .push(request.bearer(access).json(&body).send().await);
        if person == "tina" {
            let merged = app.api.resolve_phone(access, ticket, "merge").await;
            scenario.tokens(&Tokens::of(&merged));
            scenario.answers.push(merged);
            let again = app.api.resolve_phone(access, ticket, "merge").await;
            scenario.answers.push(again);
        }
    }
}

/// An export has the number; neither its log lines nor failures have it.
async fn exported(app: &TestApp, scenario: &mut Scenario, tokens: &Tokens) {
    let export = app.api.export(&tokens.access, None).await;
    assert!(export.ok(200)["user"]["phone"].is_string(), "{export:?}");
    let agreed = app.api.agree(&tokens.access, "privacy", 1).await;
    agreed.fails(404, "not_found");
    let forged = app.api.export(&tokens.access, Some(&tokens.refresh)).await;
    forged.fails_at(&["cursor"]);
    scenario.answers.extend([export, agreed, forged]);
}

/// Records what the backend got from WeChat: the access token and the encryption keys.
async fn values_from_wechat(app: &TestApp, scenario: &mut Scenario, session_key: &str) {
    let wechat = Client::new(app.env().get("WECHAT_BASE_URL").unwrap());
    let secret = Settings::secrets()[0].1;
    let body = json!({"grant_type": "client_credential", "appid": APP_ID, "secret": secret});
    let (_, _, answer) = wechat.post("/cgi-bin/stable_token", &body).send_raw().await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    scenario.secret("WeChat's access token", token);
    let signature = session_signature(&session_key.into(), b"");
    scenario.secret("a session signature", &signature);
    let open_id = app.wechat.open_id("alice", Some(APP_ID)).unwrap();
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
        scenario.secret("an encryption key", key["encrypt_key"].as_str().unwrap());
    }
}

async fn used_elsewhere(app: &TestApp, code: &str) {
    let wechat = Client::new(app.env().get("WECHAT_BASE_URL").unwrap());
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
async fn nothing_is_stored(app: &TestApp, scenario: &Scenario) {
    let rows = app.rows().await.into_values().map(|row| format!("{row:?}"));
    Logs::new(rows.collect()).assert_without_secrets(scenario.named());
    let Some(url) = app.env().get("REDIS_URL").map(str::to_owned) else {
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
    Logs::new(found).assert_without_secrets(scenario.named());
}

/// Numbers and openids in bodies and, where they don't belong, in a query.
async fn administrators(app: &TestApp, scenario: &mut Scenario) {
    const NUMBER: &str = "13787654321";
    let tokens = scenario.log_in(app, &app.api, "root").await;
    let (root, id) = (tokens.access.clone(), tokens.user_id());
    app.set_role(&id, "admin").await;
    let open_id = app.wechat.open_id("carol", Some(APP_ID)).unwrap();
    scenario.secret("a number that was moved in", NUMBER);
    scenario.secret("an openid that was moved in", &open_id);
    let person = |open_id: &str, phone: &str| json!({"phone": phone, "identities": [{"appId": APP_ID, "openId": open_id}]});
    app.api
        .move_in(&root, &person(&open_id, NUMBER))
        .await
        .ok(200);
    app.api.search_users(&root, NUMBER).await.ok(200);
    for answer in [
        app.api.move_in(&root, &person(&open_id, NUMBER)).await,
        app.api
            .move_in(&root, &person(&format!("{open_id}#"), NUMBER))
            .await,
        app.api
            .move_in(&root, &person("o", &format!("{NUMBER}0")))
            .await,
        app.api.search_users(&root, &format!("{NUMBER}0")).await,
        app.api
            .users(&root, &format!("?phone={NUMBER}&cursor={open_id}"))
            .await,
        app.api.users(&root, &format!("?cursor={NUMBER}")).await,
        app.api.user(&root, NUMBER).await,
        app.api
            .change_user(&root, &id, &json!({"phone": NUMBER, "version": 1}))
            .await,
        app.api
            .change_user(&root, &id, &json!({"nickname": [NUMBER], "version": 1}))
            .await,
    ] {
        assert!((400..500).contains(&answer.status), "{answer:?}");
        scenario.answers.push(answer);
    }
}

async fn store_failures(app: &mut TestApp, scenario: &mut Scenario) {
    let tokens = scenario.log_in(app, &app.api, "alice").await;
    app.proxies().dynamodb.set(wire_proxy::Fault::Refuse).await;
    app.proxies().dynamodb.reset();
    let code = scenario.code(app, "alice");
    for answer in [
        app.api.login(&code).await,
        app.api.refresh(&tokens.refresh).await,
    ] {
        answer.fails(503, "unavailable");
        scenario.answers.push(answer);
    }
    app.proxies().dynamodb.heal().await;
    if app.env().get("REDIS_URL").is_none() {
        return;
    }
    let url = format!(
        "redis://default:{WRONG_PASSWORD}@127.0.0.1:{}/",
        app.redis().port()
    );
    let locked_out = app.another_instance_with(&[("REDIS_URL", &url)]).await;
    scenario.log_in(app, &locked_out, "alice").await;
    app.redis().kill();
    let tokens = scenario.log_in(app, &app.api, "alice").await;
    let answer = app.api.logout(&tokens.access).await;
    assert_eq!(app.log_line(&answer)["degraded"], true);
    scenario.answers.push(answer);
}

/// Invalid settings are reported by name; a refused start must not show their values.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_settings_are_not_quoted(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
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
    let health: Value = app.api.request("GET", "/health").send().await.body;
    assert_eq!(health["data"]["status"], "ok");
}

/// A form is permission to upload for anybody, and the address that WeChat reads shows the picture.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_and_no_signed_address_is_logged(#[values(InProcess, Redis)] state: SharedState) {
    let log_capture = capture();
    let app = TestApp::builder(state).avatars().proxied();
    let app = app.set("CONTENT_CHECK", "on").set("LOG_LEVEL", "trace");
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    let begun = app.api.begin_avatar(&tokens.access, "image/png", PNG.len());
    let form = begun.await.ok(200).clone();
    post_form(&form, PNG).await;
    let key = form["key"].as_str().unwrap();
    let answer = app.api.confirm_avatar(&tokens.access, key).await;
    answer.ok(202);
    let check = app.wechat.take_media_checks().remove(0);
    // What fails is logged with its cause.
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(wire_proxy::Fault::Refuse).await;
    app.clock.advance_seconds(1800);
    let failed = app.api.confirm_avatar(&tokens.access, key).await;
    failed.fails(503, "unavailable");
    let (_, signature) = check.media_url.split_once("X-Amz-Signature=").unwrap();
    let signature = signature.split('&').next().unwrap();
    let field = |name: &str| form["fields"][name].as_str().unwrap();
    let log = log_capture.logs();
    assert!(log.contain("object store"), "the cause is not logged");
    let secrets = [
        ("the signature of a form", field("x-amz-signature")),
        ("the policy of a form", field("policy")),
        ("the signature of an address", signature),
        ("an access token", &tokens.access),
    ];
    log.assert_without_secrets(Settings::secrets().into_iter().chain(secrets));
    Logs::new(vec![failed.body.to_string()]).assert_without_secrets(secrets);
}
