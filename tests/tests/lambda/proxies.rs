//! Proxies in front of API Gateway: whose address a request counts for.

use e2e::{events::HttpApi, http::Answer, runtime_api::FunctionUnderTest};
use serde_json::{Value, json};

use crate::harness::{LambdaHarness, answer};

/// A limit that does not refill while the test runs.
const ONE: &str = "1/h burst 1";

/// An instance that lets each address send one request without a token.
fn limited(harness: &mut LambdaHarness, trusted: &str) -> FunctionUnderTest {
    harness.settings = harness
        .settings
        .clone()
        .with("RATE_LIMIT_GUEST", ONE)
        .with("TRUSTED_PROXIES", trusted);
    harness.function("user-info")
}

/// A request without a token, that API Gateway got from `peer`. API Gateway adds the peer to what
/// the peer sent as `X-Forwarded-For`.
fn event(peer: &str, sent: &str) -> Value {
    let line = [sent, peer]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let mut event = HttpApi::new("GET", "/api/v1/user/info")
        .header("x-forwarded-for", &line)
        .event();
    event["requestContext"]["http"]["sourceIp"] = json!(peer);
    event
}

async fn call(function: &FunctionUnderTest, peer: &str, sent: &str) -> Answer {
    answer(function, &event(peer, sent)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_each_client_has_a_limit_of_its_own() {
    let mut harness = LambdaHarness::start().await;
    let function = limited(&mut harness, "198.51.100.0/24,2001:db8:ffff::/48");
    let allowed = [
        ("198.51.100.7", "203.0.113.1"),
        // Another edge of the same proxy.
        ("198.51.100.8", "203.0.113.2"),
        // A proxy behind a proxy, and one that is reached over IPv6.
        ("198.51.100.8", "203.0.113.3, 198.51.100.9"),
        ("2001:db8:ffff::1", "203.0.113.4"),
        ("198.51.100.7", "2001:db8::1"),
    ];
    for (peer, sent) in allowed {
        let answer = call(&function, peer, sent).await;
        answer.fails(401, "token_missing");
    }
    for (peer, sent) in allowed {
        let answer = call(&function, peer, sent).await;
        answer.fails(429, "rate_limited");
    }
    // What the client itself sends stands to the left, and is not believed.
    let forged = call(&function, "198.51.100.7", "192.0.2.99, 203.0.113.1").await;
    forged.fails(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_trusted_proxies_only_the_source_address_counts() {
    for trusted in ["", "10.0.0.0/8"] {
        let mut harness = LambdaHarness::start().await;
        let function = limited(&mut harness, trusted);
        let first = call(&function, "198.51.100.7", "203.0.113.1").await;
        first.fails(401, "token_missing");
        let second = call(&function, "198.51.100.7", "203.0.113.2").await;
        second.fails(429, "rate_limited");
        let elsewhere = call(&function, "198.51.100.8", "203.0.113.1").await;
        elsewhere.fails(401, "token_missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_api_applies_the_same_rule() {
    let mut harness = LambdaHarness::start().await;
    let function = limited(&mut harness, "198.51.100.0/24");
    let event = |client: &str| {
        json!({
            "resource": "/{proxy+}", "path": "/api/v1/user/info", "httpMethod": "GET",
            "headers": {"X-Forwarded-For": format!("{client}, 198.51.100.7")},
            "multiValueHeaders": {"X-Forwarded-For": [format!("{client}, 198.51.100.7")]},
            "requestContext": {
                "stage": "prod", "httpMethod": "GET", "requestId": "r",
                "identity": {"sourceIp": "198.51.100.7"},
            },
        })
    };
    for (client, status) in [
        ("203.0.113.1", 401),
        ("203.0.113.2", 401),
        ("203.0.113.1", 429),
    ] {
        let answer = function.invoke(&event(client)).await;
        assert_eq!(answer["statusCode"], status, "{client}");
    }
}
