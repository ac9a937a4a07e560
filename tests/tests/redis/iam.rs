//! A user that IAM authenticates, as in ElastiCache Serverless: a cluster that speaks TLS, a user with the
//! rights that `network.yaml` gives it, and passwords that another implementation has computed. A server
//! that checks passwords accepts only what is equal to them.

use std::{fs, process::Command, time::Duration};

use e2e::{
    binaries::workspace, free_port, redis_server::RedisServer, test_app::capture, within_patience,
};
use secrecy::SecretString;
use shared::{
    clock::{Clock, ManualClock},
    config::{AwsCredentials, AwsKeys, IamSettings, RedisMode, RedisSettings},
    kv::{Delivery, Kv, RedisStore},
};

use crate::servers::{every_operation_works, record};

const USER: &str = "weapp-functions";
const CACHE: &str = "weapp";
const REGION: &str = "cn-northwest-1";
/// Of the credentials at first, and after they were refreshed.
const IDS: [&str; 2] = ["ASIAIOSFODNN7EXAMPLE", "ASIAI44QH8DHBEXAMPLE"];
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// With the characters that have to be encoded.
const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLE//hunter2+/=";
const START: &str = "2026-11-26T01:02:03+00:00";

/// A server with this user, for which each password has to be set.
struct Cache {
    server: RedisServer,
    clock: ManualClock,
    credentials: AwsCredentials,
}

fn keys(id: &str) -> AwsKeys {
    AwsKeys {
        id: id.to_owned(),
        secret: SECRET.into(),
        session: Some(SESSION.into()),
    }
}

impl Cache {
    async fn start() -> Self {
        let server = RedisServer::builder()
            .tls()
            .password("of-the-test")
            .with(&["--cluster-enabled", "yes"])
            // So that it tells its port for TLS; there is no other node to be trusted.
            .with(&["--tls-cluster", "yes", "--tls-ca-cert-file", "server.pem"])
            .with(&["--cluster-port", &free_port().to_string()])
            .start()
            .await;
        server
            .command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .await;
        let formed = async {
            let info = async || server.command(&["CLUSTER", "INFO"]).await;
            while !format!("{:?}", info().await).contains("cluster_state:ok") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within_patience("a state of ok", formed).await;
        Self {
            server,
            clock: ManualClock::new(START.parse().unwrap()),
            credentials: AwsCredentials::new(keys(IDS[0])),
        }
    }

    /// The password that the user gets from IAM at this moment.
    fn password(&self) -> String {
        let now = Clock::Manual(self.clock.clone()).now();
        let output = Command::new(workspace().join(".tools/venv/bin/python"))
            .arg(workspace().join("tests/tests/redis/iam_token.py"))
            .args([USER, CACHE, REGION, &self.credentials.current().id])
            .args([SECRET, SESSION])
            .arg(now.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "scripts/tools/install.sh template: {errors}"
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Lets the user in with this password and no other, from the next connection on.
    async fn accept(&self, password: &str) {
        let password = format!(">{password}");
        let rights = rights();
        let mut rule = vec!["ACL", "SETUSER", USER, "reset", &password];
        rule.extend(rights.split(' '));
        self.server.command(&rule).await;
    }

    /// Ends the user's connections, as ElastiCache does after twelve hours.
    async fn disconnect(&self) {
        self.server.command(&["CLIENT", "KILL", "USER", USER]).await;
    }

    fn client(&self) -> Kv {
        let settings = RedisSettings {
            url: SecretString::from(format!("rediss://127.0.0.1:{}", self.server.port())),
            mode: RedisMode::Cluster,
            ca: self.server.ca().map(|ca| ca.as_bytes().to_vec()),
            iam: Some(IamSettings {
                user: USER.to_owned(),
                cache: CACHE.to_owned(),
                region: REGION.to_owned(),
                credentials: self.credentials.clone(),
            }),
            timeout: Duration::from_secs(5),
        };
        Kv::Redis(RedisStore::open(
            &settings,
            Clock::Manual(self.clock.clone()),
        ))
    }
}

/// What `network.yaml` lets the user do.
fn rights() -> String {
    let text = fs::read_to_string(workspace().join("network.yaml")).unwrap();
    let mut lines = text
        .lines()
        .skip_while(|line| !line.contains("AccessString:"));
    lines.nth(1).unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_operation_works_for_the_user_of_the_network_stack() {
    let cache = Cache::start().await;
    cache.accept(&cache.password()).await;
    every_operation_works(&cache.client()).await;
}

#[tokio::test]
async fn each_connection_gets_a_password_of_its_own_moment() {
    let cache = Cache::start().await;
    let first = cache.password();
    cache.accept(&first).await;
    let kv = cache.client();
    let put = async || kv.put(record("{a}:k", "1"), Delivery::Required).await;
    put().await.unwrap();
    // Longer than a password is good for, and than a connection lasts. The one that is there goes on.
    cache.clock.advance_seconds(13 * 60 * 60);
    put().await.unwrap();
    let second = cache.password();
    assert_ne!(first, second);
    cache.accept(&second).await;
    cache.disconnect().await;
    // One that was refused or lost would be an error: it is sent again over the next connection.
    put().await.unwrap();
    // The server accepts only this one: no old password is sent again.
    cache.clock.advance_seconds(1);
    cache.disconnect().await;
    put().await.unwrap_err();
    cache.accept(&cache.password()).await;
    put().await.unwrap();
}

/// As on managed instances, which live longer than their credentials.
#[tokio::test]
async fn refreshed_credentials_sign_the_passwords_of_the_next_connections() {
    let cache = Cache::start().await;
    cache.accept(&cache.password()).await;
    let kv = cache.client();
    let put = async || kv.put(record("{a}:k", "1"), Delivery::Required).await;
    put().await.unwrap();
    cache.credentials.replace(keys(IDS[1]));
    cache.accept(&cache.password()).await;
    cache.disconnect().await;
    put().await.unwrap();
}

#[tokio::test]
async fn a_refused_password_is_an_error_without_the_password() {
    let cache = Cache::start().await;
    cache.accept("another").await;
    let log = capture();
    let kv = cache.client();
    let error = kv.put(record("{a}:k", "1"), Delivery::Required).await;
    let error = error.unwrap_err();
    let logs = log.logs();
    assert!(logs.contain("Redis bypassed after a failure"));
    let text = format!("{error} {error:?}\n{}", logs.lines().join("\n"));
    for secret in [SECRET, SESSION, "hunter2", "X-Amz-Signature", IDS[0]] {
        assert!(!text.contains(secret), "{text}");
    }
}
