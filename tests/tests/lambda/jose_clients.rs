//! Third-party JOSE libraries as clients of the `make run` binary: they seal requests and open
//! sealed answers.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use e2e::{
    binaries, http,
    process::{Process, Spawn},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// `make run` on the real clock, which the clients use.
struct Backend {
    _process: Process,
    _folder: TempDir,
    url: String,
}

impl Backend {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(binaries::path("local"));
        command
            .current_dir(folder.path())
            .env_clear()
            .env("PORT", "0");
        let process = Spawn::new(command).guarded().spawn();
        let line = process.wait_for_line("weapp-serverless on ").await;
        process.wait_for_line("Try (Ctrl-C ends):").await;
        let url = line
            .strip_prefix("weapp-serverless on ")
            .unwrap()
            .to_owned();
        Self {
            _process: process,
            _folder: folder,
            url,
        }
    }

    async fn code(&self) -> String {
        let control =
            http::Client::new(&self.url).post("/_wechat/_control/code", &json!({"user": "alice"}));
        serde_json::from_slice::<Value>(&control.send_raw().await.2).unwrap()["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Logs in, then changes the profile, then fails, each time sealed by `client`.
    async fn serves(&self, client: &Client) {
        let code = json!({"code": self.code().await});
        let login = client.call(&self.url, ("POST", "/api/v1/user/login"), &code, "");
        assert_eq!(login["status"], 200, "{login}");
        let token = login["body"]["data"]["token"].as_str().unwrap();
        let info = |nickname: &str| {
            client.call(
                &self.url,
                ("PUT", "/api/v1/user/info"),
                &json!({"nickname": nickname}),
                token,
            )
        };
        let change = info("密封");
        assert_eq!(
            (&change["status"], &change["body"]["data"]["nickname"]),
            (&json!(200), &json!("密封")),
            "{change}"
        );
        let refused = info("");
        let found = (&refused["status"], &refused["body"]["reason"]);
        assert_eq!(found, (&json!(400), &json!("invalid_request")), "{refused}");
    }
}

/// A script of `tests/clients/`, with the arguments that say how it seals.
struct Client {
    program: PathBuf,
    script: PathBuf,
    how: Vec<&'static str>,
}

impl Client {
    fn new(program: &str, script: &str, how: &[&'static str]) -> Self {
        let (root, how) = (binaries::workspace(), how.to_vec());
        let program = root.join(".tools").join(program);
        assert!(
            program.is_file(),
            "{} is missing: `make test` installs it before it runs the tests",
            program.display()
        );
        Self {
            program,
            script: root.join("tests/clients").join(script),
            how,
        }
    }

    /// Calls the backend and returns what the script prints: status and envelope.
    fn call(&self, base: &str, (method, path): (&str, &str), body: &Value, token: &str) -> Value {
        let mut command = Command::new(&self.program);
        command
            .arg(&self.script)
            .args([base, method, path])
            .args(&self.how)
            .env("TOKEN", token)
            .env("NO_PROXY", "*");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(body.to_string().as_bytes())
            .unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).unwrap()
    }
}

const HOW: [[&str; 2]; 4] = [
    ["A256GCM", "compact"],
    ["A256GCM", "json"],
    ["A256CBC-HS512", "compact"],
    ["A256CBC-HS512", "json"],
];

#[tokio::test]
async fn jose_in_node_interoperates() {
    let backend = Backend::start().await;
    for how in HOW {
        backend
            .serves(&Client::new("node", "sealed.mjs", &how))
            .await;
    }
}

#[tokio::test]
async fn jwcrypto_in_python_interoperates() {
    let backend = Backend::start().await;
    for how in HOW {
        backend
            .serves(&Client::new("venv/bin/python", "sealed.py", &how))
            .await;
    }
}

/// A library that runs in mini-programs.
#[tokio::test]
async fn node_forge_interoperates_without_web_crypto() {
    let backend = Backend::start().await;
    backend.serves(&Client::new("node", "forge.js", &[])).await;
}

#[test]
fn the_documentation_shows_the_tested_code() {
    let document =
        std::fs::read_to_string(binaries::workspace().join("docs/encryption.md")).unwrap();
    let script =
        std::fs::read_to_string(binaries::workspace().join("tests/clients/forge.js")).unwrap();
    let code = script
        .split_once("const forge")
        .unwrap()
        .1
        .split_once("module.exports")
        .unwrap()
        .0;
    assert!(
        document.contains(code.trim_end()),
        "docs/encryption.md differs from tests/clients/forge.js"
    );
}
