//! What a sealed body does, with state in the process and with a real Redis.

use e2e::{
    sealed::{Sealed, Sealer},
    world::{
        Api,
        SharedState::{self, InProcess, Redis},
        Tokens, World,
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

fn now(world: &World) -> i64 {
    Clock::Manual(world.clock.clone()).now_seconds()
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
async fn every_endpoint_takes_sealed_bodies(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let mut client = Sealer::of(&world.api).await;
    for enc in Enc::ALL {
        for form in [Form::Compact, Form::Flattened] {
            (client.enc, client.form) = (enc, form);
            let body = json!({"code": world.code("alice")});
            let tokens = Tokens::of(&client.send(&world.api, now(&world), LOGIN, &body).await);
            let body = json!({"refreshToken": tokens.refresh});
            let tokens = Tokens::of(&client.send(&world.api, now(&world), REFRESH, &body).await);
            let sealed = client.seal(
                &client.header(now(&world), "PATCH", "/api/v1/user/info"),
                &json!({"nickname": "小明"}),
            );
            let request = world
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
    let world = World::start(state).await;
    let client = Sealer::of(&world.api).await;
    client
        .send(&world.api, now(&world), LOGIN, &json!({"code": 1}))
        .await
        .fails_at(&["code"]);
    client
        .send(&world.api, now(&world), LOGIN, &json!({"code": "unknown"}))
        .await
        .fails(400, "code_invalid");
    client
        .send(
            &world.api,
            now(&world),
            REFRESH,
            &json!({"refreshToken": "x"}),
        )
        .await
        .fails(401, "refresh_invalid");
    client
        .send(&world.api, now(&world), ("POST", "/nowhere"), &json!({}))
        .await
        .fails(404, "not_found");
    // The same code sealed again is the same login; the same body again is refused before anybody
    // looks at the code.
    let body = json!({"code": world.code("alice")});
    let sealed = client.seal(&client.header(now(&world), LOGIN.0, LOGIN.1), &body);
    let (status, headers, answer) = world
        .api
        .request("POST", LOGIN.1)
        .header("content-type", "application/jose")
        .body(sealed.jwe.as_str())
        .send_raw()
        .await;
    let first = Tokens::of(&client.open(&sealed, status, headers, &answer));
    post(&world.api, LOGIN.1, &client, &sealed.jwe)
        .await
        .fails(400, "decrypt_failed");
    assert_eq!(
        Tokens::of(&client.send(&world.api, now(&world), LOGIN, &body).await),
        first
    );
    // Nor can it be used for something else, or later.
    let other = client.seal(&client.header(now(&world), LOGIN.0, LOGIN.1), &body);
    post(&world.api, REFRESH.1, &client, &other.jwe)
        .await
        .fails(400, "decrypt_failed");
    world.clock.advance_seconds(301);
    post(&world.api, LOGIN.1, &client, &other.jwe)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_refused_by_every_instance(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let other = world.another_instance().await;
    let client = Sealer::of(&world.api).await;
    let sealed = client.seal(&client.header(now(&world), "POST", "/nowhere"), &json!({}));
    assert_eq!(
        [
            status(&world.api, &sealed).await,
            status(&world.api, &sealed).await
        ],
        [404, 400]
    );
    // Without shared state another instance can't know.
    let expected = if state == SharedState::Redis {
        400
    } else {
        404
    };
    assert_eq!(status(&other, &sealed).await, expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_redis_is_no_outage_of_sealed_bodies(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut world = World::with(state).own_redis().start().await;
    if state == SharedState::InProcess {
        return;
    }
    let client = Sealer::of(&world.api).await;
    let [before, during] =
        [(); 2].map(|()| client.seal(&client.header(now(&world), "POST", "/nowhere"), &json!({})));
    assert_eq!(status(&world.api, &before).await, 404);
    world.redis().kill();
    let during = [
        status(&world.api, &during).await,
        status(&world.api, &during).await,
    ];
    assert_eq!(during, [404, 400]);
    assert_eq!(status(&world.api, &before).await, 400);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_have_so_many_opened(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::with(state)
        .own_redis()
        .set("RATE_LIMIT_SEALED", "1/h burst 2")
        .start()
        .await;
    let client = Sealer::of(&world.api).await;
    let seal = || {
        client.seal(
            &client.header(now(&world), LOGIN.0, LOGIN.1),
            &json!({"code": world.code("alice")}),
        )
    };
    // What costs nothing to refuse is not charged.
    for jwe in [
        "",
        "a.b.c.d.e",
        &client
            .seal(&client.header(0, LOGIN.0, LOGIN.1), &json!({}))
            .jwe,
    ] {
        post(&world.api, LOGIN.1, &client, jwe)
            .await
            .fails(400, "decrypt_failed");
    }
    let (opened, forged) = (seal(), seal());
    let forged = format!("{}AAAA", &forged.jwe[..forged.jwe.len() - 4]);
    assert_eq!(status_at(&world.api, LOGIN, &opened).await, 200);
    post(&world.api, LOGIN.1, &client, &forged)
        .await
        .fails(400, "decrypt_failed");
    let denied = post(&world.api, LOGIN.1, &client, &seal().jwe).await;
    denied.fails(429, "rate_limited");
    assert!(
        denied.header("retry-after").is_some()
            && denied.header("ratelimit").unwrap().contains("sealed")
    );
    // In clear it may go on.
    world.api.login(&world.code("alice")).await.ok(200);
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
    let client = Sealer::of(&World::start(state).await.api).await;
    let world = World::with(state)
        .deployed()
        .set("TRANSPORT_KEYS", "")
        .start()
        .await;
    world
        .api
        .request("GET", "/api/v1/crypto/key")
        .send()
        .await
        .fails(404, "not_found");
    for media_type in ["application/jose", "application/jose+json"] {
        let sealed = client.seal(&client.header(now(&world), LOGIN.0, LOGIN.1), &json!({}));
        let request = world
            .api
            .request("POST", LOGIN.1)
            .header("content-type", media_type)
            .body(sealed.jwe);
        request.send().await.fails(415, "unsupported_media_type");
    }
}
