//! The client's address is the TCP peer's, unless the peer is a trusted proxy.

use axum::{Extension, Router, routing::get};
use e2e::http::Client;
use shared::{
    clock::Clock, config::Env, edge::ClientIp, instance::Instance, random::Random,
    resilience::rate_limit::Identity,
};
use tokio::net::TcpListener;

/// A server that returns the client address it sees.
async fn whoami(vars: &[(&str, &str)]) -> Client {
    let instance = Instance::new(Env::new(vars.to_vec()), Clock::System, Random::System);
    let say = async |Extension(client): Extension<ClientIp>| {
        Identity::Address(client.address()).to_string()
    };
    let app = instance
        .app(Router::new().route("/whoami", get(say)))
        .unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(local::serve(listener, app, std::future::pending()));
    Client::new(&format!("http://{address}"))
}

async fn caller(server: &Client, forwarded_for: Option<&str>) -> String {
    let request = server.get("/whoami");
    let request = match forwarded_for {
        Some(value) => request.header("x-forwarded-for", value),
        None => request,
    };
    let (status, _, body) = request.send_raw().await;
    assert_eq!(status, 200);
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn an_untrusted_forwarded_for_header_is_ignored() {
    let server = whoami(&[]).await;
    for header in [
        None,
        Some("192.0.2.1"),
        Some("192.0.2.1, 198.51.100.2"),
        Some("nonsense"),
    ] {
        assert_eq!(
            caller(&server, header).await,
            "{ip:127.0.0.1}",
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn a_forwarded_for_header_of_a_trusted_proxy_names_the_client() {
    let server = whoami(&[("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.1")]).await;
    assert_eq!(caller(&server, None).await, "{ip:127.0.0.1}");
    assert_eq!(caller(&server, Some("192.0.2.1")).await, "{ip:192.0.2.1}");
    assert_eq!(
        caller(&server, Some("198.51.100.2, 192.0.2.1, 10.0.0.1")).await,
        "{ip:192.0.2.1}"
    );
    assert_eq!(
        caller(&server, Some("2001:db8:1:2:3::4")).await,
        "{ip:2001:db8:1:2::}"
    );
}

#[tokio::test]
async fn invalid_trusted_proxies_refuse_the_start() {
    let instance = Instance::new(
        Env::new([("TRUSTED_PROXIES", "10.0.0.0/8, hunter2")]),
        Clock::System,
        Random::System,
    );
    let problems = instance.app(Router::new()).unwrap_err().to_string();
    assert_eq!(
        problems,
        "TRUSTED_PROXIES: entry 2 is not an address or a network such as 10.0.0.0/8"
    );
}
