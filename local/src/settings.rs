//! The gateway's own settings, and the defaults that let it run without any.

use std::{net::IpAddr, path::PathBuf};

use callback::{LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN, MESSAGE_PUSH};
use shared::config::{
    AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_DYNAMODB, AWS_REGION, AWS_SECRET_ACCESS_KEY, ConfigErrors,
    DATA_KEYS, Env, JWT_SECRETS, LOCAL_DATA_KEYS, LOCAL_JWT_SECRET, Port, Text, WECHAT_APPIDS,
    WECHAT_BASE_URL, WECHAT_SECRETS,
};

shared::settings! {
    /// The settings of the gateway, for the documents.
    pub DOCUMENTED in Local;

    HOST: Text = Text::new("127.0.0.1", "an IP address"),
        "the address it listens on",
        "监听地址",
        wanted_zh("IP 地址");
    PORT: Port = Port::new(9000),
        "the port it listens on; 0 takes any free one",
        "监听端口；0 表示任选空闲端口";
    DATA_DIR: Text = Text::new(".data", "a folder"),
        "folder of the embedded DynamoDB (an SQLite file); remove it to start afresh",
        "内嵌 DynamoDB 的数据目录（SQLite 文件），删除即清空",
        wanted_zh("目录");
    DYNAMODB_PORT: Port = Port::new(0),
        "port of the embedded DynamoDB; 0 takes any free one",
        "内嵌 DynamoDB 的端口；0 表示任选空闲端口",
        unset("not set: any free port", "未设置：任选空闲端口"), example("8000");
    METRICS_PORT: Port = Port::new(0),
        "where Prometheus reads `/metrics`, on `HOST` too; 0 takes any free one",
        "Prometheus 在此端口读取 `/metrics`，地址同 `HOST`；0 表示任选空闲端口",
        unset("not set: off", "未设置：关闭"), example("9090");
}

/// The AppID of the simulated mini-program, used when no other is configured.
pub const LOCAL_APP_ID: &str = "wx0000000000000001";
/// The AppSecret of all simulated mini-programs. It is valid for the simulator only.
pub const LOCAL_APP_SECRET: &str = "simulated-app-secret-of-wx1";

/// The gateway's settings.
pub struct Settings {
    /// `HOST`.
    pub host: IpAddr,
    /// `PORT`; 0: any free port.
    pub port: u16,
    /// `DATA_DIR`: the folder of the embedded DynamoDB's file.
    pub data_dir: PathBuf,
    /// `DYNAMODB_PORT`: the port of the embedded DynamoDB; 0: any free port.
    pub dynamodb_port: u16,
    /// `METRICS_PORT`: the port on `host` where Prometheus reads `/metrics`; 0: any free port. `None`:
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
            host: HOST
                .parse(env, |text| text.parse().ok())
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: PORT.read(env),
            data_dir: DATA_DIR.read(env).into(),
            dynamodb_port: DYNAMODB_PORT.read(env),
            metrics_port: METRICS_PORT.get(env).map(|_| METRICS_PORT.read(env)),
            dynamodb_endpoint: AWS_ENDPOINT_URL_DYNAMODB.get(env).map(str::to_owned),
            simulate_wechat: WECHAT_SECRETS.get(env).is_none()
                && WECHAT_BASE_URL.get(env).is_none(),
        };
        env.validate()?;
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
    let env = if WECHAT_SECRETS.get(&env).is_none() {
        with_local_apps(env)
    } else {
        env
    };
    let env = if settings.simulate_wechat {
        env.or(WECHAT_BASE_URL.name(), wechat)
    } else {
        env
    };
    env.or(AWS_REGION.name(), "local")
        .or(AWS_ACCESS_KEY_ID.name(), "local")
        .or(AWS_SECRET_ACCESS_KEY.name(), "local")
        .or(AWS_ENDPOINT_URL_DYNAMODB.name(), dynamodb)
        .or(JWT_SECRETS.name(), LOCAL_JWT_SECRET)
        .or(DATA_KEYS.name(), LOCAL_DATA_KEYS)
        .local_development()
}

/// Without secrets there is no real mini-program: the simulator accepts every configured AppID,
/// with the local secret.
fn with_local_apps(env: Env) -> Env {
    let env = env.or(WECHAT_APPIDS.name(), LOCAL_APP_ID);
    let secrets: Vec<_> = WECHAT_APPIDS
        .entries(&env)
        .map(|id| format!("{id}:{LOCAL_APP_SECRET}"))
        .collect();
    let pushes = WECHAT_APPIDS.entries(&env).enumerate();
    let pushes: Vec<_> = pushes
        .map(|(index, id)| format!("{id}:{LOCAL_PUSH_TOKEN}{index}:{LOCAL_PUSH_KEY}"))
        .collect();
    env.or(WECHAT_SECRETS.name(), secrets.join(","))
        .or(MESSAGE_PUSH.name(), pushes.join(","))
}
