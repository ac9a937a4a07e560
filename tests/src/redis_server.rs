//! A real Redis (or Valkey) server on a port of its own.

mod tls;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use redis::{Client, TlsCertificates, aio::MultiplexedConnection};
use tempfile::TempDir;

use crate::{
    binaries::workspace,
    free_port,
    process::{Process, Spawn},
};

/// Suitable programs, in order of preference.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
/// What the backend needs.
const RIGHTS: [&str; 9] = [
    "~*", "+ping", "+get", "+set", "+psetex", "+del", "+time", "+eval", "+evalsha",
];
/// How often another process may take the port first.
const ATTEMPTS: u32 = 5;

/// A server that keeps nothing on disk. Dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    // Before the folder it works in.
    process: Option<Process>,
    port: u16,
    options: RedisServerBuilder,
    folder: TempDir,
}

/// A server to be started.
#[derive(Debug)]
pub struct RedisServerBuilder {
    program: PathBuf,
    arguments: Vec<String>,
    login: Option<(String, String)>,
    /// The certificate that signed the server's, as PEM.
    ca: Option<String>,
}

impl RedisServerBuilder {
    /// Requires this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.login = Some(("default".to_owned(), password.to_owned()));
        self.with(&["--requirepass", password])
    }

    /// Has only this user, with exactly the rights that the backend needs.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.login = Some((name.to_owned(), password.to_owned()));
        let password = format!(">{password}");
        let user = ["--user", "default", "off", "--user", name, "on", &password];
        self.with(&user).with(&RIGHTS)
    }

    /// Speaks TLS, with a certificate from a private authority.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.ca = Some(String::new());
        self
    }

    /// Further arguments of the program.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Starts a server and returns when it answers.
    pub async fn start(mut self) -> RedisServer {
        let folder = tempfile::tempdir().unwrap();
        if self.ca.is_some() {
            self.ca = Some(tls::certify(folder.path()));
        }
        let mut server = RedisServer {
            process: None,
            port: 0,
            options: self,
            folder,
        };
        for _ in 0..ATTEMPTS {
            server.port = free_port();
            if server.try_run().await {
                return server;
            }
        }
        panic!("Redis found no free port in {ATTEMPTS} attempts");
    }
}

impl RedisServer {
    /// A server with default options.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder {
            program: program(),
            arguments: Vec::new(),
            login: None,
            ca: None,
        }
    }

    /// A Valkey server; `None` where it is not installed.
    pub fn valkey() -> Option<RedisServerBuilder> {
        Some(RedisServerBuilder {
            program: valkey()?,
            ..Self::builder()
        })
    }

    /// Starts a server and returns when it answers.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts a server that requires this password.
    pub async fn start_with_password(password: &str) -> Self {
        Self::builder().password(password).start().await
    }

    /// The URL for `REDIS_URL`, with user and password if there are any.
    pub fn url(&self) -> String {
        self.url_via(self.port)
    }

    /// The same URL with another port, for a proxy in front.
    pub fn url_via(&self, port: u16) -> String {
        let login = self
            .options
            .login
            .as_ref()
            .map(|(user, password)| format!("{user}:{password}@"))
            .unwrap_or_default();
        let scheme = if self.options.ca.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://{login}127.0.0.1:{port}/")
    }

    /// The certificate for `REDIS_CA_CERT`.
    pub fn ca(&self) -> Option<&str> {
        self.options.ca.as_deref()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection, to look at keys.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = match &self.options.ca {
            Some(ca) => {
                let root_cert = Some(ca.clone().into_bytes());
                Client::build_with_tls(
                    self.url(),
                    TlsCertificates {
                        client_tls: None,
                        root_cert,
                    },
                )
            }
            None => Client::open(self.url()),
        };
        client
            .unwrap()
            .get_multiplexed_async_connection()
            .await
            .expect("Redis takes connections")
    }

    /// Runs a command that must succeed: `["CONFIG", "SET", …]`.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let (name, arguments) = words.split_first().unwrap();
        let answer = redis::cmd(name)
            .arg(arguments)
            .query_async(&mut self.connection().await)
            .await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Removes every key, as a failover without a replica does.
    pub async fn flushall(&self) {
        self.command(&["FLUSHALL"]).await;
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
        assert!(
            self.try_run().await,
            "port {} was taken by another process",
            self.port
        );
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("Redis was killed")
    }

    /// Whether it runs now; `false` when the port is taken.
    async fn try_run(&mut self) -> bool {
        let process = Spawn::new(self.program()).guarded().spawn();
        if process
            .line_before_end("eady to accept connections")
            .await
            .is_none()
        {
            let logs = process.logs();
            assert!(
                logs.contain("ddress already in use"),
                "Redis does not start:\n{logs}"
            );
            return false;
        }
        self.process = Some(process);
        let answer: String = redis::cmd("PING")
            .query_async(&mut self.connection().await)
            .await
            .expect("PING");
        assert_eq!(answer, "PONG");
        true
    }

    fn program(&self) -> Command {
        let mut command = Command::new(&self.options.program);
        let port = self.port.to_string();
        command.current_dir(self.folder.path());
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "notice",
        ]);
        command
            .args(["--logfile", ""])
            .arg("--dir")
            .arg(self.folder.path());
        if self.options.ca.is_some() {
            command.args([
                "--port",
                "0",
                "--tls-port",
                &port,
                "--tls-auth-clients",
                "no",
            ]);
            command.args([
                "--tls-cert-file",
                tls::CERTIFICATE,
                "--tls-key-file",
                tls::KEY,
            ]);
        } else {
            command.args(["--port", &port]);
        }
        command.args(&self.options.arguments);
        command
    }
}

fn program() -> PathBuf {
    in_path(&PROGRAMS).unwrap_or_else(|| {
        panic!(
            "neither {} is installed: `make test` installs it before it runs the tests",
            PROGRAMS.join(" nor ")
        )
    })
}

/// Where `VALKEY_SERVER` says, where `make test` puts it, or in the path.
fn valkey() -> Option<PathBuf> {
    let installed = || Some(workspace().join(".tools/valkey-server")).filter(|file| is_file(file));
    env::var_os("VALKEY_SERVER")
        .map(PathBuf::from)
        .or_else(installed)
        .or_else(|| in_path(&["valkey-server"]))
}

fn in_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| is_file(file))
    })
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

#[cfg(test)]
mod tests {
    use redis::AsyncCommands;

    use super::*;

    #[tokio::test]
    async fn a_restarted_server_is_empty_and_on_the_same_port() {
        let mut server = RedisServer::start().await;
        let url = server.url();
        server
            .connection()
            .await
            .set::<_, _, ()>("a", 1)
            .await
            .unwrap();
        server.restart().await;
        assert_eq!(server.url(), url);
        assert_eq!(
            server
                .connection()
                .await
                .get::<_, Option<i32>>("a")
                .await
                .unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn flushall_removes_every_key() {
        let server = RedisServer::start().await;
        server
            .connection()
            .await
            .set::<_, _, ()>("a", 1)
            .await
            .unwrap();
        server.flushall().await;
        assert_eq!(
            server
                .connection()
                .await
                .get::<_, Option<i32>>("a")
                .await
                .unwrap(),
            None
        );
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
            Ok(mut connection) => redis::cmd("PING")
                .exec_async(&mut connection)
                .await
                .is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
}
