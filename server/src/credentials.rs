//! AWS credentials from the platform, renewed before they expire: of a container (ECS, EKS Pod
//! Identity) or of an EC2 instance. Functions on Lambda have none of this: theirs are in the
//! environment (docs/decisions/0010).

mod source;

use std::time::Duration;

use shared::{
    clock::Clock,
    config::{AWS_ACCESS_KEY_ID, AwsCredentials, Env, Optional, Words},
};
use thiserror::Error;
use tokio::time::sleep;

use source::Fetched;
pub(crate) use source::Source;

shared::settings! {
    /// The settings of the platform's credentials, for the documents.
    pub DOCUMENTED in Server;

    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: Optional = Optional::new("a path; ECS sets it"),
        "`server` only: where a container gets its credentials, if `AWS_ACCESS_KEY_ID` is not set",
        "仅 `server`：未设置 `AWS_ACCESS_KEY_ID` 时，容器获取凭证的路径",
        wanted_zh("路径；由 ECS 设置"), example("/v2/credentials/0193c0de");
    AWS_CONTAINER_CREDENTIALS_FULL_URI: Optional = Optional::new("a URL, https or of this machine or of the platform; EKS sets it"),
        "`server` only: the same as a whole URL",
        "仅 `server`：同上，完整的 URL",
        wanted_zh("URL，须为 https、本机或平台的地址；由 EKS 设置"), example("http://169.254.170.23/v1/credentials");
    AWS_CONTAINER_AUTHORIZATION_TOKEN: Optional = Optional::new("the value of a header"),
        "`server` only: what proves to that address that it is this container",
        "仅 `server`：向该地址证明身份的令牌",
        wanted_zh("请求头的值"), example("0193c0de");
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: Optional = Optional::new("a file; EKS sets it"),
        "`server` only: the same in a file, which is read at each renewal",
        "仅 `server`：同上，保存在文件中，每次更新凭证时读取",
        wanted_zh("文件；由 EKS 设置"), example("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token");
    AWS_WEB_IDENTITY_TOKEN_FILE: Optional = Optional::new("not to be set: EKS Pod Identity in its place"),
        "`server` only: a role of a service account (IRSA), which the server does not take; set without other credentials it is an error, because the role of the machine would be used in its place",
        "仅 `server`：服务账号角色（IRSA），server 不支持；未提供其他凭证而设置它会报错，以免改用节点的角色",
        wanted_zh("不应设置，请改用 EKS Pod Identity");
    AWS_EC2_METADATA_DISABLED: Words<bool> = Words::new(&["true", "false"], &[true, false], 1),
        "`server` only: the credentials of the EC2 instance are not asked for",
        "仅 `server`：不向 EC2 元数据服务索取凭证";
    AWS_EC2_METADATA_SERVICE_ENDPOINT: Optional = Optional::new("a URL"),
        "`server` only: where an EC2 instance gets its credentials, if nothing else is set",
        "仅 `server`：以上均未设置时，EC2 实例获取凭证的地址",
        wanted_zh("URL"), unset("not set: http://169.254.169.254", "未设置：http://169.254.169.254"), example("http://[fd00:ec2::254]");
}

/// New keys are fetched this long before the old ones expire.
const BEFORE: Duration = Duration::from_mins(5);
/// Keys that do not say when they expire, and those that expire late, are fetched again after this.
const LATEST: Duration = Duration::from_hours(1);
/// The pauses between attempts that fail: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often the platform is asked at start.
const ATTEMPTS: u32 = 3;

/// Why the platform gives no credentials. The text holds none.
#[derive(Debug, Error)]
#[error("AWS_ACCESS_KEY_ID is not set, and {source_name} gives no credentials: {why}")]
pub struct CredentialsError {
    source_name: &'static str,
    why: String,
}

/// Keeps the credentials fresh.
pub(crate) struct Renewal {
    source: Source,
    credentials: AwsCredentials,
    wait: Duration,
}

impl Renewal {
    /// Where credentials come from, if not from the environment. Config errors are recorded in `env`.
    pub(crate) fn source(env: &Env, needs_keys: bool) -> Option<Source> {
        let is_set = AWS_ACCESS_KEY_ID.get(env).is_some();
        (!is_set && needs_keys).then(|| Source::of(env))
    }

    /// Fetches the first credentials, and gives them to the settings.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub(crate) async fn start(
        env: Env,
        source: Option<Source>,
    ) -> Result<(Env, Option<Self>), CredentialsError> {
        let Some(source) = source else {
            return Ok((env, None));
        };
        let mut attempt = 1;
        let fetched = loop {
            match source.fetch().await {
                Ok(fetched) => break fetched,
                Err(why) if attempt < ATTEMPTS => {
                    tracing::warn!(why, "no credentials yet");
                    attempt += 1;
                    sleep(FIRST_PAUSE).await;
                }
                Err(why) => {
                    let source_name = source.name();
                    return Err(CredentialsError { source_name, why });
                }
            }
        };
        let wait = until_renewal(&fetched);
        let credentials = AwsCredentials::new(fetched.keys);
        let env = env.with_credentials(credentials.clone());
        let renewal = Self {
            source,
            credentials,
            wait,
        };
        Ok((env, Some(renewal)))
    }

    /// Never returns. While the platform gives no new ones, the old ones stay in use.
    pub(crate) async fn run(self) {
        let (mut wait, mut pause) = (self.wait, FIRST_PAUSE);
        loop {
            sleep(wait).await;
            match self.source.fetch().await {
                Ok(fetched) => {
                    (wait, pause) = (until_renewal(&fetched), FIRST_PAUSE);
                    self.credentials.replace(fetched.keys);
                    tracing::debug!("credentials renewed");
                }
                Err(why) => {
                    tracing::error!(why, "credentials can't be renewed");
                    (wait, pause) = (pause, (pause * 2).min(LONGEST_PAUSE));
                }
            }
        }
    }
}

/// How long these keys are used.
fn until_renewal(fetched: &Fetched) -> Duration {
    let Some(expires) = fetched.expires else {
        return LATEST;
    };
    let left = expires.duration_since(Clock::System.now()).as_secs();
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    let wait = left.checked_sub(BEFORE).unwrap_or(left / 2);
    wait.clamp(FIRST_PAUSE, LATEST)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shared::config::AwsKeys;

    use super::*;

    fn expiring(expires: Option<Timestamp>) -> Fetched {
        let keys = AwsKeys {
            id: "id".to_owned(),
            secret: "secret".into(),
            session: None,
        };
        Fetched { keys, expires }
    }

    #[test]
    fn keys_are_renewed_well_before_they_expire() {
        let wait = |seconds: i64| {
            let now = Clock::System.now().as_second();
            let expires = Timestamp::from_second(now + seconds).unwrap();
            until_renewal(&expiring(Some(expires))).as_secs()
        };
        let about = |seconds: u64| seconds - 1..=seconds;
        assert!(about(1500).contains(&wait(1800)));
        assert!(about(100).contains(&wait(200)));
        assert_eq!((wait(0), wait(-60), wait(86_400)), (1, 1, 3600));
        assert_eq!(until_renewal(&expiring(None)), LATEST);
    }
}
