//! The same functions behind `local`'s HTTP server.

use std::time::Duration;

use e2e::binaries;

use crate::{
    load::{self, Source, Timing},
    requests::accounts::{self, Administrator},
    server::{self, Server},
    services::Services,
};

/// The number of connections.
const CONNECTIONS: usize = 64;
/// The time before samples are recorded.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures the throughput of the main routes and prints a Markdown table.
pub async fn run(duration: Duration) {
    let timing = Timing {
        warm_up: WARM_UP,
        duration,
    };
    println!("| server | route | requests a second | latency, median / p95 | memory after |");
    println!("|---|---|---|---|---|");
    let bare = Server::axum().await;
    let health = || server::health(CONNECTIONS);
    measure(("bare axum", "GET /health"), &bare, health(), timing).await;
    drop(bare);

    let mut services = Services::start().await;
    let login = binaries::function("login");
    let administrator = Administrator::log_in(&login, &services.settings).await;
    services.settings = administrator.settings.clone();
    administrator.config().await;
    administrator.user_list(&services.table()).await;
    let local = Server::local(&services).await;
    let logins = local.log_in(CONNECTIONS).await;
    let get = |path, token| server::get(CONNECTIONS, path, token);
    let loads = [
        ("GET /health", health()),
        ("GET /api/v1/user/info", server::info(&logins)),
        ("POST /api/v1/user/login", server::login(CONNECTIONS)),
        ("POST /api/v1/user/refresh", server::refresh(&logins)),
        ("GET /api/v1/config/{key}", get(accounts::CONFIG, None)),
        (
            "GET /api/v1/users?limit=100",
            get(accounts::USER_LIST, Some(&administrator.token)),
        ),
    ];
    for (route, sources) in loads {
        measure(("`local`", route), &local, sources, timing).await;
    }
    println!();
    println!(
        "{CONNECTIONS} keep-alive connections for {} s each; the load generator, Redis, DynamoDB and WeChat run on the same cores.",
        duration.as_secs()
    );
    println!();
}

async fn measure(name: (&str, &str), server: &Server, sources: Vec<Source>, timing: Timing) {
    let outcome = load::run(server.address, sources, timing).await;
    let refusals = (outcome.closed, outcome.unavailable);
    assert_eq!(refusals, (0, 0), "connections closed, answers 503");
    let ((server_name, route), memory) = (name, server.memory());
    println!(
        "| {server_name} | `{route}` | {:.0} | {} | {memory} MiB |",
        outcome.rate(timing),
        outcome.samples.in_us()
    );
}
