//! The same functions behind `local`'s HTTP server.

use std::{net::SocketAddr, process::Command, time::Duration};

use e2e::{
    binaries::beside_this_program,
    free_port,
    http::Client,
    process::{Process, Spawn},
    settings::AWS_ENVIRONMENT,
};
use tempfile::TempDir;

use crate::{
    load::{self, CONNECTIONS, Load},
    services::Services,
    stats::Samples,
    traffic::Codes,
};

/// Another process may take the free port first, so a start is tried this many times.
const ATTEMPTS: u32 = 5;

/// Measures the throughput of the two main routes and prints a Markdown table.
pub async fn run(duration: Duration) {
    let services = Services::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = start(&services, &folder).await;
    let tokens = log_in(address).await;

    println!("| route | requests a second | latency, median / p95 | memory after |");
    println!("|---|---|---|---|");
    let info = tokens
        .iter()
        .map(|token| {
            request(
                "GET",
                "/api/v1/user/info",
                &format!("authorization: Bearer {token}\r\n"),
                "",
            )
        })
        .collect();
    let samples = load::run(address, Load::Same(info), duration).await;
    print_row("GET /api/v1/user/info", &samples, duration, &server);
    let samples = load::run(address, Load::Generated(login), duration).await;
    print_row("POST /api/v1/user/login", &samples, duration, &server);
    println!();
    println!(
        "{CONNECTIONS} keep-alive connections for {} s each; the load generator, Redis, DynamoDB and WeChat run on the same cores.",
        duration.as_secs()
    );
}

async fn start(services: &Services, folder: &TempDir) -> (Process, SocketAddr) {
    let binary = beside_this_program("local");
    for _ in 0..ATTEMPTS {
        let port = free_port();
        let mut command = Command::new(&binary);
        command
            .current_dir(folder)
            .envs(AWS_ENVIRONMENT)
            .envs(
                services
                    .settings
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string())])
            .env("DATA_DIR", folder.path().join("data"));
        let process = Spawn::new(command)
            .guarded()
            .log_to(&folder.path().join("log"))
            .spawn();
        if process.listens_on(port).await {
            return (process, ([127, 0, 0, 1], port).into());
        }
    }
    panic!("local found no free port in {ATTEMPTS} attempts");
}

/// Logs in one user per connection and returns their access tokens.
async fn log_in(address: SocketAddr) -> Vec<String> {
    let client = Client::new(&format!("http://{address}"));
    let mut tokens = Vec::new();
    for user in 0..CONNECTIONS {
        let body = serde_json::json!({"code": format!("reader{user}.1")});
        let answer = client.post("/api/v1/user/login", &body).send().await;
        tokens.push(
            answer.ok(200)["token"]
                .as_str()
                .expect("a token")
                .to_owned(),
        );
    }
    tokens
}

fn login(codes: &mut Codes) -> Vec<u8> {
    request(
        "POST",
        "/api/v1/user/login",
        "content-type: application/json\r\n",
        &codes.login().to_string(),
    )
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[expect(clippy::cast_precision_loss, reason = "a rate without decimals")]
fn print_row(route: &str, samples: &Samples, duration: Duration, server: &Process) {
    let rate = samples.len() as f64 / duration.as_secs_f64();
    let memory = server.rss_bytes() / 1_048_576;
    println!(
        "| `{route}` | {rate:.0} | {} | {memory} MiB |",
        samples.in_us()
    );
}
