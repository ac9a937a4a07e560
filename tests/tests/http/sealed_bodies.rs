//! Sealed request bodies, with state in the process and with a real Redis.

use e2e::{
    sealed::{Sealed, Sealer},
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use serde_json::json;
use shared::{
    clock::Clock,
    crypto::jwe::{Enc, Form},
};

const LOGIN: (&str, &str) = ("POST", "/api/v1/user/login");
const REFRESH: (&str, &str) = ("POST", "/api/v1/user/refresh");

fn now(app: &TestApp) -> i64 {
    Clock::Manual(app.clock.clone()).now_seconds()
}

async fn post(api: &Api, path: &str, client: &Sealer, jwe: &str) -> e2e::http::Answer {
    api.request("POST", path)
        .header("content-type", client.media_type())
        .body(jwe)
        .send()
        .await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_accepts_sealed_bodies(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let mut client = Sealer::of(&app.api).await;
    for enc in Enc::ALL {
        for form in [Form::Compact, Form::Flattened] {
            (client.enc, client.form) = (enc, form);
            let body = json!({"code": app.code("alice")});
            let tokens = Tokens::of(&client.send(&app.api, now(&app), LOGIN, &body).await);
            let body = json!({"refreshToken": tokens.refresh});
            let tokens = Tokens::of(&client.send(&app.api, now(&app), REFRESH, &body).await);
            let sealed = client.seal(
                &client
                    .header(now(&app), "PATCH", "/api/v1/user/info")
                    .for_token(&tokens.access),
                &json!({"nickname": "小明"}),
            );
            let request = app
                .api
                .request("PATCH", "/api/v1/user/info")
                .bearer(&tokens.access);
            let request = request
                .header("content-type", client.media_type())
                .body(sealed.jwe.as_str());
            let (status, headers, body) = request.send_raw().await;
            assert_eq!(
                client.open(&sealed, status, headers, &body).ok(200)["nickname"],
                "小明"
            );
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_sealed_and_not_repeatable(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let client = Sealer::of(&app.api).await;
    client
        .send(&app.api, now(&app), LOGIN, &json!({"code": 1}))
        .await
        .fails_at(&["code"]);
    client
        .send(&app.api, now(&app), LOGIN, &json!({"code": "unknown"}))
        .await
        .fails(400, "code_invalid");
    client
        .send(&app.api, now(&app), REFRESH, &json!({"refreshToken": "x"}))
        .await
        .fails(401, "refresh_invalid");
    client
        .send(&app.api, now(&app), ("POST", "/nowhere"), &json!({}))
        .await
        .fails(404, "not_found");
    // The same code sealed again is the same login; the same sealed body again is refused before
    // its code is read.
    let body = json!({"code": app.code("alice")});
    let sealed = client.seal(&client.header(now(&app), LOGIN.0, LOGIN.1), &body);
    let (status, headers, answer) = app
        .api
        .request("POST", LOGIN.1)
        .header("content-type", "application/jose")
        .body(sealed.jwe.as_str())
        .send_raw()
        .await;
    let first = Tokens::of(&client.open(&sealed, status, headers, &answer));
    post(&app.api, LOGIN.1, &client, &sealed.jwe)
        .await
        .fails(400, "decrypt_failed");
    assert_eq!(
        Tokens::of(&client.send(&app.api, now(&app), LOGIN, &body).await),
        first
    );
    // Nor can it be used for another route, or later.
    let other = client.seal(&client.header(now(&app), LOGIN.0, LOGIN.1), &body);
    post(&app.api, REFRESH.1, &client, &other.jwe)
        .await
        .fails(400, "decrypt_failed");
    app.clock.advance_seconds(301);
    post(&app.api, LOGIN.1, &client, &other.jwe)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_body_is_no_good_under_another_access_token(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let client = Sealer::of(&app.api).await;
    let (alice, mallory) = (app.log_in("alice").await, app.log_in("mallory").await);
    let info = "/api/v1/user/info";
    let header = client.header(now(&app), "PATCH", info);
    let sealed = client.seal(
        &header.clone().for_token(&alice.access),
        &json!({"nickname": "小明"}),
    );
    let send = async |sealed: &Sealed, token: Option<&str>| {
        let request = app
            .api
            .request("PATCH", info)
            .header("content-type", client.media_type())
            .body(sealed.jwe.as_str());
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        request.send_raw().await.0
    };
    assert_eq!(send(&sealed, Some(&mallory.access)).await, 400);
    assert_eq!(send(&sealed, None).await, 400);
    // Being refused has not used it up.
    assert_eq!(send(&sealed, Some(&alice.access)).await, 200);
    let unbound = client.seal(&header, &json!({"nickname": "小红"}));
    assert_eq!(send(&unbound, Some(&alice.access)).await, 400);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_can_use_up_a_jti(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let other = app.another_instance().await;
    let client = Sealer::of(&app.api).await;
    let header = client.header(now(&app), "POST", "/nowhere");
    let [foreign, own] = [(); 2].map(|()| client.seal(&header, &json!({})));
    assert_eq!(status(&other, &foreign).await, 404);
    assert_eq!(status(&app.api, &own).await, 404);
    assert_eq!(status(&app.api, &own).await, 400);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_body_is_refused_by_every_instance(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let other = app.another_instance().await;
    let client = Sealer::of(&app.api).await;
    let sealed = client.seal(&client.header(now(&app), "POST", "/nowhere"), &json!({}));
    assert_eq!(
        [
            status(&app.api, &sealed).await,
            status(&app.api, &sealed).await
        ],
        [404, 400]
    );
    // Without shared state another instance can't detect it.
    let expected = if state == SharedState::Redis {
        400
    } else {
        404
    };
    assert_eq!(status(&other, &sealed).await, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_bodies_work_during_a_redis_outage(#[values(InProcess, Redis)] state: SharedState) {
    let mut app = TestApp::builder(state).own_redis().start().await;
    if state == SharedState::InProcess {
        return;
    }
    let client = Sealer::of(&app.api).await;
    let [before, during] =
        [(); 2].map(|()| client.seal(&client.header(now(&app), "POST", "/nowhere"), &json!({})));
    assert_eq!(status(&app.api, &before).await, 404);
    app.redis().kill();
    let during = [
        status(&app.api, &during).await,
        status(&app.api, &during).await,
    ];
    assert_eq!(during, [404, 400]);
    assert_eq!(status(&app.api, &before).await, 400);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_sealed_bodies_is_rate_limited(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_SEALED", "1/h burst 2")
        .start()
        .await;
    let client = Sealer::of(&app.api).await;
    let seal = || {
        client.seal(
            &client.header(now(&app), LOGIN.0, LOGIN.1),
            &json!({"code": app.code("alice")}),
        )
    };
    // Bodies that are refused without decryption are not charged.
    for jwe in [
        "",
        "a.b.c.d.e",
        &client
            .seal(&client.header(0, LOGIN.0, LOGIN.1), &json!({}))
            .jwe,
    ] {
        post(&app.api, LOGIN.1, &client, jwe)
            .await
            .fails(400, "decrypt_failed");
    }
    let (opened, forged) = (seal(), seal());
    let forged = format!("{}AAAA", &forged.jwe[..forged.jwe.len() - 4]);
    assert_eq!(status_at(&app.api, LOGIN, &opened).await, 200);
    post(&app.api, LOGIN.1, &client, &forged)
        .await
        .fails(400, "decrypt_failed");
    let denied = post(&app.api, LOGIN.1, &client, &seal().jwe).await;
    denied.fails(429, "rate_limited");
    assert!(
        denied.header("retry-after").is_some()
            && denied.header("ratelimit").unwrap().contains("sealed")
    );
    // Unsealed requests are not affected.
    app.api.login(&app.code("alice")).await.ok(200);
}

/// The status of the answer to a body for `POST /nowhere`: 404 when it was opened.
async fn status(api: &Api, sealed: &Sealed) -> u16 {
    status_at(api, ("POST", "/nowhere"), sealed).await
}

async fn status_at(api: &Api, (method, path): (&str, &str), sealed: &Sealed) -> u16 {
    let request = api
        .request(method, path)
        .header("content-type", "application/jose");
    request.body(sealed.jwe.as_str()).send_raw().await.0
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_sealed_bodies_are_off(#[values(InProcess, Redis)] state: SharedState) {
    let client = Sealer::of(&TestApp::start(state).await.api).await;
    let app = TestApp::builder(state)
        .deployed()
        .set("TRANSPORT_KEYS", "")
        .start()
        .await;
    app.api
        .request("GET", "/api/v1/crypto/key")
        .send()
        .await
        .fails(404, "not_found");
    for media_type in ["application/jose", "application/jose+json"] {
        let sealed = client.seal(&client.header(now(&app), LOGIN.0, LOGIN.1), &json!({}));
        let request = app
            .api
            .request("POST", LOGIN.1)
            .header("content-type", media_type)
            .body(sealed.jwe);
        request.send().await.fails(415, "unsupported_media_type");
    }
}
