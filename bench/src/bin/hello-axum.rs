//! A bare axum server: the floor of what a request over HTTP costs on the machine.

use std::{io, net::SocketAddr};

use axum::{Router, routing::get};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the port is chosen by the program that measures, no setting of the project"
    )]
    let port = std::env::var("PORT").ok();
    let port = port.and_then(|port| port.parse().ok()).unwrap_or_default();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let hello = async || {
        (
            [("content-type", "application/json")],
            r#"{"code":200,"message":"OK","data":{}}"#,
        )
    };
    axum::serve(listener, Router::new().route("/health", get(hello))).await
}
