//! The gateway's own settings, and the defaults that let it run without any.

use std::{net::IpAddr, path::PathBuf};

use callback::{LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN};
use shared::config::{ConfigErrors, Env, LOCAL_DATA_KEYS, LOCAL_JWT_SECRET};

/// The AppID of the simulated mini-program, used when no other is configured.
pub const LOCAL_APP_ID: &str = "wx0000000000000001";
/// The AppSecret of all simulated mini-programs. It is valid for the simulator only.
pub const LOCAL_APP_SECRET: &str = "simulated-app-secret-of-wx1";

/// The gateway's settings.
pub struct Settings {
    /// `HOST`: default 127.0.0.1.
    pub host: IpAddr,
    /// `PORT`: default 9000; 0: any free port.
    pub port: u16,
    /// `DATA_DIR`: the folder of the embedded DynamoDB's file. Default `.data`.
    pub data_dir: PathBuf,
    /// `DYNAMODB_PORT`: the port of the embedded DynamoDB. Default: any free port.
    pub dynamodb_port: u16,
    /// `METRICS_PORT`: the port on `host` where Prometheus reads `/metrics`; 0: any free port. Default:
    /// off.
    pub metrics_port: Option<u16>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: use this DynamoDB instead of the embedded one.
    pub dynamodb_endpoint: Option<String>,
    /// Whether WeChat is simulated: when neither `WECHAT_SECRETS` (a real mini-program) nor
    /// `WECHAT_BASE_URL` (another simulator) is set.
    pub simulate_wechat: bool,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// All invalid settings together.
    pub fn read(env: &Env) -> Result<Self, ConfigErrors> {
        let settings = Self {
            host: env.parse("HOST", IpAddr::from([127, 0, 0, 1]), "an IP address"),
            port: env.parse("PORT", 9000, "a port number"),
            data_dir: env.get("DATA_DIR").unwrap_or(".data").into(),
            dynamodb_port: env.parse("DYNAMODB_PORT", 0, "a port number"),
            metrics_port: env
                .get("METRICS_PORT")
                .map(|_| env.parse("METRICS_PORT", 0, "a port number")),
            dynamodb_endpoint: env.get("AWS_ENDPOINT_URL_DYNAMODB").map(str::to_owned),
            simulate_wechat: env.get("WECHAT_SECRETS").is_none()
                && env.get("WECHAT_BASE_URL").is_none(),
        };
        env.finish()?;
        Ok(settings)
    }
}

/// Adds the functions' settings that are not set, for local development. `dynamodb` and `wechat` are
/// the URLs of the embedded database and the simulator.
pub(crate) fn with_local_defaults(
    env: Env,
    settings: &Settings,
    dynamodb: &str,
    wechat: &str,
) -> Env {
    let env = if env.get("WECHAT_SECRETS").is_none() {
        with_local_apps(env)
    } else {
        env
    };
    let env = if settings.simulate_wechat {
        env.or("WECHAT_BASE_URL", wechat)
    } else {
        env
    };
    env.or("AWS_REGION", "local")
        .or("AWS_ACCESS_KEY_ID", "local")
        .or("AWS_SECRET_ACCESS_KEY", "local")
        .or("AWS_ENDPOINT_URL_DYNAMODB", dynamodb)
        .or("JWT_SECRETS", LOCAL_JWT_SECRET)
        .or("DATA_KEYS", LOCAL_DATA_KEYS)
        .local_development()
}

/// Without secrets there is no real mini-program: the simulator accepts every configured AppID,
/// with the local secret.
fn with_local_apps(env: Env) -> Env {
    let env = env.or("WECHAT_APPIDS", LOCAL_APP_ID);
    let secrets: Vec<_> = env
        .list("WECHAT_APPIDS")
        .map(|id| format!("{id}:{LOCAL_APP_SECRET}"))
        .collect();
    let pushes = env.list("WECHAT_APPIDS").enumerate();
    let pushes: Vec<_> = pushes
        .map(|(index, id)| format!("{id}:{LOCAL_PUSH_TOKEN}{index}:{LOCAL_PUSH_KEY}"))
        .collect();
    env.or("WECHAT_SECRETS", secrets.join(","))
        .or("MESSAGE_PUSH", pushes.join(","))
}
