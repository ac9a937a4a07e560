//! A real Redis (or Valkey) server on a port of its own.

use std::{env, fs, path::PathBuf, process::Command};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use crate::{
    free_port,
    process::{Process, Spawn},
};

/// Programs that will do, in the order of preference.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
/// How often another process may take the port first.
const ATTEMPTS: u32 = 5;

/// A server that keeps nothing on disk. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    // Before the folder it works in.
    process: Option<Process>,
    port: u16,
    password: Option<String>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server and returns when it answers.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a server that wants this password.
    pub async fn start_with_password(password: &str) -> Self {
        Self::start_with(Some(password.to_owned())).await
    }

    async fn start_with(password: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { process: None, port: 0, password, folder };
        for _ in 0..ATTEMPTS {
            server.port = free_port();
            if server.try_run().await {
                return server;
            }
        }
        panic!("Redis found no free port in {ATTEMPTS} attempts");
    }

    /// The URL for `REDIS_URL`, with the password if there is one.
    pub fn url(&self) -> String {
        self.url_via(self.port)
    }

    /// The same URL with another port, for a proxy in front.
    pub fn url_via(&self, port: u16) -> String {
        let login = self.password.as_ref().map(|password| format!("default:{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{port}/")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection, to look at keys.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.expect("Redis takes connections")
    }

    /// Forgets everything, as after a fail-over without a replica.
    pub async fn flushall(&self) {
        redis::cmd("FLUSHALL").exec_async(&mut self.connection().await).await.expect("FLUSHALL");
    }

    /// Freezes the server: connections stay open, nothing answers.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Thaws it.
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Kills the server: connections break, new ones are refused.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, empty, on the same port.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.try_run().await, "port {} was taken by another process", self.port);
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("Redis was killed")
    }

    /// Whether it runs now; `false` when the port is taken.
    async fn try_run(&mut self) -> bool {
        let process = Spawn::new(self.command()).guarded().spawn();
        if process.line_before_end("eady to accept connections").await.is_none() {
            let logs = process.logs();
            assert!(logs.contain("ddress already in use"), "Redis does not start:\n{logs}");
            return false;
        }
        self.process = Some(process);
        let answer: String = redis::cmd("PING").query_async(&mut self.connection().await).await.expect("PING");
        assert_eq!(answer, "PONG");
        true
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--loglevel", "notice", "--logfile", ""]).arg("--dir").arg(self.folder.path());
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        command
    }
}

fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let found = PROGRAMS.iter().find_map(|name| {
        folders.iter().map(|folder| folder.join(name)).find(|file| fs::metadata(file).is_ok_and(|meta| meta.is_file()))
    });
    found.unwrap_or_else(|| {
        panic!("neither {} is installed: `make test` installs it before it runs the tests", PROGRAMS.join(" nor "))
    })
}

#[cfg(test)]
mod tests {
    use redis::AsyncCommands;

    use super::*;

    #[tokio::test]
    async fn a_restarted_server_is_empty_and_on_the_same_port() {
        let mut server = RedisServer::start().await;
        let url = server.url();
        server.connection().await.set::<_, _, ()>("a", 1).await.unwrap();
        server.restart().await;
        assert_eq!(server.url(), url);
        assert_eq!(server.connection().await.get::<_, Option<i32>>("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn flushall_forgets() {
        let server = RedisServer::start().await;
        server.connection().await.set::<_, _, ()>("a", 1).await.unwrap();
        server.flushall().await;
        assert_eq!(server.connection().await.get::<_, Option<i32>>("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_paused_server_is_silent_until_it_resumes() {
        let server = RedisServer::start().await;
        let mut connection = server.connection().await;
        server.pause();
        let get = connection.get::<_, Option<i32>>("a");
        let silent = tokio::time::timeout(std::time::Duration::from_millis(50), get).await;
        assert!(silent.is_err(), "{silent:?}");
        server.resume();
        server.flushall().await;
    }

    #[tokio::test]
    async fn a_password_is_needed_when_one_is_set() {
        let server = RedisServer::start_with_password("open-sesame").await;
        server.flushall().await;
        let without = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port())).unwrap();
        let refused = match without.get_multiplexed_async_connection().await {
            Ok(mut connection) => redis::cmd("PING").exec_async(&mut connection).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
}
