//! Where credentials come from.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, header::AUTHORIZATION, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::config::{AWS_ACCESS_KEY_ID, AwsKeys, Env};
use url::{Host, Url};

use super::{
    AWS_CONTAINER_AUTHORIZATION_TOKEN, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
    AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
    AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_WEB_IDENTITY_TOKEN_FILE,
};

/// Of a call on the same machine.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// ECS: <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html>.
const ECS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// EKS: <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>.
const EKS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 23);
const EKS_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);
/// EC2: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>.
const EC2: &str = "http://169.254.169.254";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// How long a token for the metadata is good for, in seconds. One is made for each renewal.
const TOKEN_TTL: &str = "300";

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The platform of a container.
    Container {
        url: String,
        authorization: Authorization,
    },
    /// The metadata of an EC2 instance, version 2.
    Instance { endpoint: String },
}

/// The proof of identity that is sent with the request.
pub(crate) enum Authorization {
    None,
    Token(SecretString),
    File(PathBuf),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(…)")
    }
}

/// Keys, and until when they are good.
pub(crate) struct Fetched {
    pub(crate) keys: AwsKeys,
    pub(crate) expires: Option<Timestamp>,
}

/// What both platforms answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: SecretString,
    token: Option<SecretString>,
    expiration: Option<Timestamp>,
}

impl Source {
    /// By what the platform has put into the environment. Config errors are recorded in `env`.
    pub(super) fn of(env: &Env) -> Self {
        let relative = AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.get(env);
        let relative = relative.map(|path| format!("http://{ECS}{path}"));
        let url = relative.or_else(|| {
            let url = AWS_CONTAINER_CREDENTIALS_FULL_URI.get(env)?;
            if !may_be_told(url) {
                let what = "has to be https, or an address of this machine or of the platform: it is told a secret";
                AWS_CONTAINER_CREDENTIALS_FULL_URI.add_error(env, what);
            }
            Some(url.to_owned())
        });
        match url {
            Some(url) => Self::Container {
                url,
                authorization: Authorization::of(env),
            },
            None => Self::of_machine(env),
        }
    }

    /// The EC2 instance, unless the environment says that another identity is meant.
    fn of_machine(env: &Env) -> Self {
        if AWS_WEB_IDENTITY_TOKEN_FILE.get(env).is_some() {
            let what = "is set, but roles of service accounts (IRSA) are not taken: give the pod its role by EKS Pod Identity, or set AWS_ACCESS_KEY_ID";
            AWS_WEB_IDENTITY_TOKEN_FILE.add_error(env, what);
        } else if AWS_EC2_METADATA_DISABLED.read(env) {
            AWS_ACCESS_KEY_ID.add_error(env, "is not set, and AWS_EC2_METADATA_DISABLED is");
        }
        let endpoint = AWS_EC2_METADATA_SERVICE_ENDPOINT.get(env).unwrap_or(EC2);
        Self::Instance {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        }
    }

    /// For people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Container { .. } => "the platform of this container",
            Self::Instance { .. } => "the metadata service of EC2",
        }
    }

    /// The current credentials.
    ///
    /// # Errors
    /// Why there are none. The text holds no secret.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        // What a client is built with, even one that speaks plain HTTP.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(METADATA_TIMEOUT)
            .build()
            .map_err(without_url)?;
        let text = match self {
            Self::Container { url, authorization } => {
                let request = client.get(url);
                sent(authorization.add(request)?).await?
            }
            Self::Instance { endpoint } => of_instance(&client, endpoint).await?,
        };
        // The library's error could quote the answer.
        let answer: Answer = serde_json::from_str(text.expose_secret())
            .map_err(|_| "the answer holds no credentials".to_owned())?;
        Ok(Fetched {
            keys: AwsKeys {
                id: answer.access_key_id,
                secret: answer.secret_access_key,
                session: answer.token,
            },
            expires: answer.expiration,
        })
    }
}

impl Authorization {
    fn of(env: &Env) -> Self {
        if let Some(file) = AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.get(env) {
            return Self::File(file.into());
        }
        match AWS_CONTAINER_AUTHORIZATION_TOKEN.get(env) {
            Some(token) => Self::Token(token.into()),
            None => Self::None,
        }
    }

    fn add(&self, request: RequestBuilder) -> Result<RequestBuilder, String> {
        match self {
            Self::None => Ok(request),
            Self::Token(token) => Ok(request.header(AUTHORIZATION, token.expose_secret())),
            Self::File(file) => {
                let token = std::fs::read_to_string(file)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
                let token = SecretString::from(token);
                Ok(request.header(AUTHORIZATION, token.expose_secret().trim()))
            }
        }
    }
}

/// The token first, with which the rest is asked for: a request that a proxy could be tricked into
/// gets none.
async fn of_instance(client: &Client, endpoint: &str) -> Result<SecretString, String> {
    let url = format!("{endpoint}/latest/api/token");
    let request = client
        .request(Method::PUT, url)
        .header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL);
    let token = sent(request).await?;
    let get = |path: &str| {
        client
            .get(format!("{endpoint}{ROLES}{path}"))
            .header("x-aws-ec2-metadata-token", token.expose_secret().trim())
    };
    let roles = sent(get("")).await?;
    let role = roles.expose_secret().lines().next().unwrap_or_default();
    if role.is_empty() {
        return Err("the instance has no role".to_owned());
    }
    sent(get(role.trim())).await
}

/// The text of an answer 200.
async fn sent(request: RequestBuilder) -> Result<SecretString, String> {
    let answer = request.send().await.map_err(without_url)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answers {status}"));
    }
    let text = answer.text().await.map_err(without_url)?;
    Ok(text.into())
}

fn without_url(error: reqwest::Error) -> String {
    shared::telemetry::describe(&error.without_url())
}

/// Whether a URL may be told the token of this container, as AWS's SDKs decide it.
fn may_be_told(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let ip: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        _ => None,
    };
    let is_platform =
        ip.is_some_and(|ip| ip.is_loopback() || ip == ECS || ip == EKS || ip == EKS_V6);
    url.scheme() == "https" || url.scheme() == "http" && is_platform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_comes_before_the_instance() {
        let source = |variables: &[(&str, &str)]| Source::of(&Env::new(variables.iter().copied()));
        let relative = (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "/v2/credentials/1",
        );
        let full = (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23/v1/credentials",
        );
        let url = |source: Source| match source {
            Source::Container { url, .. } => url,
            Source::Instance { endpoint } => format!("instance {endpoint}"),
        };
        let ecs = "http://169.254.170.2/v2/credentials/1";
        assert_eq!(url(source(&[relative, full])), ecs);
        assert_eq!(url(source(&[full])), full.1);
        assert_eq!(url(source(&[])), "instance http://169.254.169.254");
        let other = (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "http://[fd00:ec2::254]/",
        );
        assert_eq!(url(source(&[other])), "instance http://[fd00:ec2::254]");
    }

    #[test]
    fn the_role_of_the_machine_does_not_stand_in_for_another_identity() {
        let errors = |variables: &[(&str, &str)]| {
            let env = Env::new(variables.iter().copied());
            Source::of(&env);
            let errors = env
                .validate()
                .err()
                .map_or_else(Vec::new, |errors| errors.0);
            errors.iter().map(|error| error.name).collect::<Vec<_>>()
        };
        let irsa = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
        assert_eq!(errors(&[irsa]), ["AWS_WEB_IDENTITY_TOKEN_FILE"]);
        let pod_identity = (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23/v1",
        );
        assert!(errors(&[irsa, pod_identity]).is_empty());
        let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
        assert_eq!(errors(&[disabled]), ["AWS_ACCESS_KEY_ID"]);
        assert!(errors(&[("AWS_EC2_METADATA_DISABLED", "false")]).is_empty());
    }

    #[test]
    fn a_token_is_told_to_the_platform_only() {
        for (url, told) in [
            ("https://credentials.example.com/v1", true),
            ("http://127.0.0.1:8080/v1", true),
            ("http://[::1]/v1", true),
            ("http://169.254.170.2/v2", true),
            ("http://169.254.170.23/v1", true),
            ("http://[fd00:ec2::23]/v1", true),
            ("http://credentials.example.com/v1", false),
            ("http://203.0.113.7/v1", false),
            ("ftp://127.0.0.1/v1", false),
            ("credentials", false),
        ] {
            assert_eq!(may_be_told(url), told, "{url}");
        }
        let env = Env::new([(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://203.0.113.7/v1",
        )]);
        Source::of(&env);
        assert_eq!(env.validate().unwrap_err().0.len(), 1);
    }
}
