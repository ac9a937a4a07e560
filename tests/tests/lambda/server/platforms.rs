//! The script with which platforms of functions start the server (docs/server.md).

use std::{
    fs,
    os::unix::{self, fs::PermissionsExt},
    process::Command,
};

use e2e::{binaries, process::Spawn};
use rustix::process::Signal;
use serde_json::Value;

use super::SIMULATOR;
use crate::{
    harness::LambdaHarness,
    server::{Running, with_aws},
    snippets::snippets,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_of_the_documents_starts_the_server() {
    let harness = LambdaHarness::start().await;
    for page in ["docs/server.md", "docs/zh/server.md"] {
        let scripts = snippets(&binaries::workspace().join(page), "bash");
        let is_start = |script: &&String| script.contains("exec ./server");
        let script = scripts.iter().find(is_start).unwrap();
        // The platform's own, which may be taken here.
        assert!(script.contains("PORT=9000"), "{script}");
        let script = script.replace("PORT=9000", "PORT=0");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bootstrap");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        unix::fs::symlink(binaries::path("server"), folder.path().join("server")).unwrap();
        let settings = harness.settings.clone().with(SIMULATOR.0, SIMULATOR.1);
        let mut variables = with_aws(&settings);
        // Longer than Alibaba Cloud keeps connections; the script says so.
        variables.retain(|(name, _)| name != "PORT");
        let mut command = Command::new(&file);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(variables);
        let server = Running::of(Spawn::new(command).guarded().spawn()).await;
        let tokens = server.log_in(&harness, "alice").await;
        server.api.info(&tokens.access).await.ok(200);
        // The process is the server, not a shell around it, so it sees the signal.
        server.process.signal(Signal::TERM);
        assert_eq!(server.process.wait_exit().await.code(), Some(0));
        let lines = server
            .process
            .logs()
            .json_where("message", &Value::from("stopped"));
        assert_eq!(lines.len(), 1, "{page}");
    }
}
