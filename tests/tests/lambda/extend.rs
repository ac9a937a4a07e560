//! The code of docs/extend.md that verifies tokens elsewhere, against `make run`.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use e2e::{binaries, test_app::Tokens};
use local::LOCAL_APP_ID;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use shared::crypto::{KeyKind, KeyPair};

use crate::{
    gateway::{ANY_PORT, Running, folder},
    snippets::snippets,
};

/// Prints who has sent each header of `HEADERS`, or `null`.
const DRIVER: &str = "import { caller } from './verify.mjs';
const callers = JSON.parse(process.env.HEADERS).map((header) => caller(header).catch(() => null));
console.log(JSON.stringify(await Promise.all(callers)));
";

/// Who the page's code takes these headers for.
fn callers(page: &str, folder: &Path, url: &str, headers: &[String]) -> Value {
    let root = binaries::workspace();
    let code = snippets(&root.join(page), "js");
    let [code] = &code[..] else {
        panic!("{page}: not one block of JavaScript")
    };
    let mut code = code.clone();
    for (documented, here) in [
        ("https://api.example.com", url),
        ("wx0123456789abcdef", LOCAL_APP_ID),
    ] {
        assert!(code.contains(documented), "{page}: no {documented}");
        code = code.replace(documented, here);
    }
    std::fs::write(folder.join("verify.mjs"), code).unwrap();
    std::fs::write(folder.join("driver.mjs"), DRIVER).unwrap();
    let modules = folder.join("node_modules");
    if !modules.exists() {
        symlink(root.join("tests/clients/node_modules"), &modules).unwrap();
    }
    let mut node = Command::new(root.join(".tools/node"));
    node.arg("driver.mjs")
        .current_dir(folder)
        .env("NO_PROXY", "*")
        .env("HEADERS", json!(headers).to_string());
    let Output {
        status,
        stdout,
        stderr,
    } = node.output().unwrap();
    let errors = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{page}: {errors}");
    serde_json::from_slice(&stdout).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_for_node_verifies_tokens_by_the_public_keys() {
    for (page, kind) in [
        ("docs/extend.md", KeyKind::Ed25519),
        ("docs/zh/extend.md", KeyKind::P256),
    ] {
        let (folder, elsewhere) = (folder(), folder());
        let [key, other_key] = [(); 2].map(|()| KeyPair::generate(kind).unwrap().private);
        let start = async |folder: &Path, key: &SecretString| {
            Running::start(folder, &[ANY_PORT, ("JWT_KEYS", key.expose_secret())]).await
        };
        let gateway = start(folder.path(), &key).await;
        let stranger = start(elsewhere.path(), &other_key).await;
        let tokens = Tokens::of(&gateway.api.login(&gateway.code("alice").await).await);
        let foreign = Tokens::of(&stranger.api.login(&stranger.code("alice").await).await);
        let headers = [
            bearer(&tokens.access),
            bearer(&foreign.access),
            bearer(&tokens.refresh),
            tokens.access.clone(),
            String::new(),
        ];
        let url = gateway.api.url.clone();
        let found = callers(page, folder.path(), &url, &headers);
        let alice = json!({
            "userId": tokens.user_id(), "appId": LOCAL_APP_ID, "role": "user",
            "sessionId": tokens.session_id(),
        });
        assert_eq!(found, json!([alice, null, null, null, null]), "{page}");
        // As the page warns.
        gateway.api.logout(&tokens.access).await.ok(200);
        let found = callers(page, folder.path(), &url, &headers[..1]);
        assert_eq!(found, json!([alice]), "{page}");
    }
}
