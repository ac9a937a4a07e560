//! The HTTP servers: `local`, `server`, and a bare axum server beside them.

use std::{net::SocketAddr, process::Command};

use e2e::{
    binaries::beside_this_program,
    free_port,
    http::Client,
    process::{Process, Spawn},
    settings::AWS_ENVIRONMENT,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    load::{Source, request},
    services::Services,
    traffic::Codes,
};

/// Another process may take the free port first, so a start is tried this many times.
const ATTEMPTS: u32 = 5;

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    /// `local` in front of these services.
    pub async fn local(services: &Services) -> Self {
        Self::of_functions("local", services, &[]).await
    }

    /// `server` in front of these services.
    pub async fn server(services: &Services) -> Self {
        Self::of_functions("server", services, &[("ALLOW_SIMULATOR", "on")]).await
    }

    /// `local` with these receivers of webhooks.
    pub async fn with_webhooks(services: &Services, receivers: &str) -> Self {
        Self::of_functions("local", services, &[("WEBHOOKS", receivers)]).await
    }

    async fn of_functions(binary: &str, services: &Services, own: &[(&str, &str)]) -> Self {
        let settings = services.settings.variables().iter();
        let settings: Vec<_> = settings
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Self::start(
            binary,
            &[&AWS_ENVIRONMENT, settings.as_slice(), own].concat(),
        )
        .await
    }

    /// A bare axum server.
    pub async fn axum() -> Self {
        Self::start("hello-axum", &[]).await
    }

    async fn start(binary: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let mut command = Command::new(beside_this_program(binary));
            command
                .current_dir(&folder)
                .envs(variables.iter().copied())
                .envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string())])
                .env("DATA_DIR", folder.path().join("data"));
            let process = Spawn::new(command)
                .guarded()
                .log_to(&folder.path().join("log"))
                .spawn();
            if process.listens_on(port).await {
                return Self {
                    process,
                    address: ([127, 0, 0, 1], port).into(),
                    _folder: folder,
                };
            }
        }
        panic!("{binary} found no free port in {ATTEMPTS} attempts");
    }

    /// Its resident memory in MiB.
    pub fn memory(&self) -> u64 {
        self.process.rss_bytes() / 1_048_576
    }

    /// Logs in this many users and returns what each was answered.
    pub async fn log_in(&self, users: usize) -> Vec<Value> {
        let client = Client::new(&format!("http://{}", self.address));
        let mut answers = Vec::new();
        for user in 0..users {
            let body = serde_json::json!({"code": format!("reader{user}.1")});
            let answer = client.post("/api/v1/user/login", &body).send().await;
            answers.push(answer.ok(200).clone());
        }
        answers
    }
}

/// `GET /health` on each of `connections`.
pub fn health(connections: usize) -> Vec<Source> {
    get(connections, "/health", None)
}

/// A GET on each of `connections`, with this access token.
pub fn get(connections: usize, path: &str, token: Option<&str>) -> Vec<Source> {
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let source = || {
        same(request(
            "GET",
            path,
            bearer.as_deref().unwrap_or_default(),
            "",
        ))
    };
    (0..connections).map(|_| source()).collect()
}

/// `GET /api/v1/user/info`, a connection for each of these logins.
pub fn info(logins: &[Value]) -> Vec<Source> {
    let source = |login: &Value| {
        let bearer = format!("authorization: Bearer {}\r\n", text(login, "token"));
        same(request("GET", "/api/v1/user/info", &bearer, ""))
    };
    logins.iter().map(source).collect()
}

/// `POST /api/v1/user/login` on each of `connections`, with fresh codes of users who take turns.
pub fn login(connections: usize) -> Vec<Source> {
    let codes = std::rc::Rc::new(std::cell::RefCell::new(Codes::default()));
    let source = |_| -> Source {
        let codes = codes.clone();
        Box::new(move |_| post("/api/v1/user/login", &codes.borrow_mut().login()))
    };
    (0..connections).map(source).collect()
}

/// `POST /api/v1/user/refresh`, a connection for each of these logins.
pub fn refresh(logins: &[Value]) -> Vec<Source> {
    let source = |login: &Value| -> Source {
        let mut token = text(login, "refreshToken");
        Box::new(move |response| {
            if !response.is_empty() {
                let envelope: Value = serde_json::from_slice(response).expect("JSON");
                token = text(&envelope["data"], "refreshToken");
            }
            let body = serde_json::json!({ "refreshToken": token });
            post("/api/v1/user/refresh", &body)
        })
    };
    logins.iter().map(source).collect()
}

fn same(request: Vec<u8>) -> Source {
    Box::new(move |_| request.clone())
}

fn post(path: &str, body: &Value) -> Vec<u8> {
    let json = "content-type: application/json\r\n";
    request("POST", path, json, &body.to_string())
}

fn text(data: &Value, member: &str) -> String {
    data[member].as_str().expect("a text").to_owned()
}
