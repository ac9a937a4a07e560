//! The AWS Parameters and Secrets Lambda extension: a process beside this one that answers HTTP on
//! loopback.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-integration-lambda-extensions.html>

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use futures_util::future::join;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use url::form_urlencoded::byte_serialize;

use super::FetchTimeouts;
use crate::config::{
    AWS_SESSION_TOKEN, Env, reference::Reference, settings::PARAMETERS_SECRETS_EXTENSION_HTTP_PORT,
};

/// A secret has 64 KiB at most; as JSON it can be longer.
const MAX_ANSWER: usize = 512 * 1024;
/// How often a service that fails is asked.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Why a value could not be fetched. Never holds an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum FetchError {
    /// It takes no connections, or says that it does not serve yet.
    #[error("the Parameters and Secrets extension is not ready; has this function its layer?")]
    NotReady,
    /// 400 for a name that does not exist as for one that may not be read.
    #[error(
        "the Parameters and Secrets extension answered {0}: the name, the permission or the service is at fault"
    )]
    Status(u16),
    #[error("the Parameters and Secrets extension did not answer in time")]
    Timeout,
    #[error("the Parameters and Secrets extension broke off")]
    Broken,
    #[error("there is no text under that name")]
    Unreadable,
}

/// A client of the extension. Cheap to clone.
#[derive(Clone)]
pub(super) struct Extension {
    port: u16,
    /// Proves to the extension that the caller is this function.
    token: SecretString,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterAnswer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: SecretString,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretAnswer {
    secret_string: SecretString,
}

impl Extension {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            port: PARAMETERS_SECRETS_EXTENSION_HTTP_PORT.read(env),
            token: AWS_SESSION_TOKEN.get(env).unwrap_or_default().into(),
        }
    }

    pub(super) async fn get(
        &self,
        what: &Reference<'_>,
        timeouts: FetchTimeouts,
    ) -> Result<SecretString, FetchError> {
        let got = timeout(
            timeouts.total,
            self.get_with_retries(what, Instant::now() + timeouts.readiness),
        )
        .await;
        got.unwrap_or(Err(FetchError::Timeout))
    }

    async fn get_with_retries(
        &self,
        what: &Reference<'_>,
        ready_by: Instant,
    ) -> Result<SecretString, FetchError> {
        let (mut failures, mut pause) = (0, FIRST_PAUSE);
        loop {
            let error = match self.ask(what).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = match error {
                FetchError::NotReady => Instant::now() < ready_by,
                FetchError::Status(500..) | FetchError::Broken => {
                    failures += 1;
                    failures < TRIES
                }
                _ => false,
            };
            if !again {
                return Err(error);
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// On a connection of its own: one that was kept through a freeze of the instance is not worth
    /// a try.
    async fn ask(&self, what: &Reference<'_>) -> Result<SecretString, FetchError> {
        let request = Request::get(Self::path(what))
            .header(HOST, format!("localhost:{}", self.port))
            .header("X-Aws-Parameters-Secrets-Token", self.token.expose_secret())
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Unreadable)?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .map_err(|_| FetchError::NotReady)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| FetchError::Broken)?;
        let exchange = async move {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|_| FetchError::Broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|_| FetchError::Broken)?;
            read(what, status, &body.to_bytes())
        };
        // The connection ends when the exchange has dropped its sender.
        join(exchange, connection).await.0
    }

    fn path(what: &Reference<'_>) -> String {
        let encoded = |name: &str| byte_serialize(name.as_bytes()).collect::<String>();
        match what {
            Reference::Parameter(name) => {
                format!(
                    "/systemsmanager/parameters/get?name={}&withDecryption=true",
                    encoded(name)
                )
            }
            Reference::Secret(id) => format!("/secretsmanager/get?secretId={}", encoded(id)),
        }
    }
}

/// What an answer means. `serde_json`'s errors quote what they read, so they are not passed on.
fn read(what: &Reference<'_>, status: StatusCode, body: &[u8]) -> Result<SecretString, FetchError> {
    match status {
        StatusCode::OK => {}
        // Until the first event reaches it: "not ready to serve traffic, please wait".
        StatusCode::BAD_REQUEST if body.starts_with(b"not ready") => {
            return Err(FetchError::NotReady);
        }
        status => return Err(FetchError::Status(status.as_u16())),
    }
    let value = match what {
        Reference::Parameter(_) => {
            serde_json::from_slice(body).map(|answer: ParameterAnswer| answer.parameter.value)
        }
        Reference::Secret(_) => {
            serde_json::from_slice(body).map(|answer: SecretAnswer| answer.secret_string)
        }
    };
    value
        .ok()
        .filter(|value| !value.expose_secret().trim().is_empty())
        .ok_or(FetchError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETER: Reference<'_> = Reference::Parameter("/weapp/jwt key");
    const SECRET: Reference<'_> = Reference::Secret("arn:aws:secretsmanager:eu-west-1:1:secret:a");

    #[test]
    fn names_are_encoded() {
        assert_eq!(
            Extension::path(&PARAMETER),
            "/systemsmanager/parameters/get?name=%2Fweapp%2Fjwt+key&withDecryption=true"
        );
        assert_eq!(
            Extension::path(&SECRET),
            "/secretsmanager/get?secretId=arn%3Aaws%3Asecretsmanager%3Aeu-west-1%3A1%3Asecret%3Aa"
        );
    }

    #[test]
    fn answers_are_read_as_documented() {
        let parameter =
            br#"{"Parameter":{"Name":"/a","Type":"SecureString","Value":"v"},"ResultMetadata":{}}"#;
        let secret =
            br#"{"ARN":"arn:aws","Name":"a","SecretString":"v","VersionStages":["AWSCURRENT"]}"#;
        for (what, body) in [
            (PARAMETER, parameter.as_slice()),
            (SECRET, secret.as_slice()),
        ] {
            assert_eq!(
                read(&what, StatusCode::OK, body).unwrap().expose_secret(),
                "v"
            );
            for broken in [
                b"".as_slice(),
                b"null",
                b"hunter2",
                br#"{"SecretBinary":"aGk="}"#,
            ] {
                assert_eq!(
                    read(&what, StatusCode::OK, broken).err(),
                    Some(FetchError::Unreadable)
                );
            }
        }
        let failed = |status, body: &[u8]| read(&SECRET, status, body).err();
        let waiting = b"not ready to serve traffic, please wait";
        assert_eq!(
            failed(StatusCode::BAD_REQUEST, waiting),
            Some(FetchError::NotReady)
        );
        assert_eq!(
            failed(StatusCode::BAD_REQUEST, b"hunter2"),
            Some(FetchError::Status(400))
        );
        assert_eq!(
            failed(StatusCode::OK, br#"{"SecretString":" "}"#),
            Some(FetchError::Unreadable)
        );
    }
}
