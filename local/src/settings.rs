//! The gateway's own settings, and the defaults that let it run without any.

use std::{net::IpAddr, path::PathBuf};

use ::gateway::{
    METRICS_PORT, PORT, SIMULATED_APP_SECRET, check_names, host, settings_of_functions,
};
use callback::{LOCAL_PUSH_KEY, LOCAL_PUSH_TOKEN, MESSAGE_PUSH};
use shared::config::{
    AVATAR_BASE_URL, AVATAR_BUCKET, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_DYNAMODB,
    AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_SECRET_ACCESS_KEY, ConfigErrors, DATA_KEYS, Documented,
    Env, JWT_SECRETS, LOCAL_DATA_KEYS, LOCAL_JWT_SECRET, MESSAGE_QUEUE_URL, Port, ProcessSettings,
    Text, USER_MESSAGES, WEBHOOK_QUEUE_URL, WECHAT_APPIDS, WECHAT_BASE_URL, WECHAT_SECRETS, Words,
};
use webhooks::{WEBHOOK_PRIVATE_NETWORKS, WEBHOOKS};

shared::settings! {
    /// The settings of the gateway, for the documents.
    pub DOCUMENTED in Local;

    DATA_DIR: Text = Text::new(".data", "a folder"),
        "folder of the embedded DynamoDB (an SQLite file) and of the built-in object store; remove it to start afresh",
        "内嵌 DynamoDB（SQLite 文件）和内置对象存储的数据目录，删除即清空",
        wanted_zh("目录");
    DYNAMODB_PORT: Port = Port::new(0),
        "port of the embedded DynamoDB; 0 takes any free one",
        "内嵌 DynamoDB 的端口；0 表示任选空闲端口",
        unset("not set: any free port", "未设置：任选空闲端口"), example("8000");
    pub(crate) LOG_FORMAT: Words<LogFormat> = Words::new(&["auto", "text", "json"], &[LogFormat::Auto, LogFormat::Text, LogFormat::Json], 0),
        "how log lines are written: `auto` is `text`, for people, on a terminal, and `json` elsewhere. Deployed functions write JSON",
        "日志格式：`auto` 在终端中为便于阅读的 `text`，其他情况为 `json`。部署的函数始终输出 JSON";
}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    Text,
    Json,
}

/// Every setting: of `shared`, of each crate that has some of its own, and of this one.
pub fn all_settings() -> impl Iterator<Item = &'static Documented> {
    settings_of_functions().chain(DOCUMENTED)
}

/// The AppID of the simulated mini-program, used when no other is configured.
pub const LOCAL_APP_ID: &str = "wx0000000000000001";
/// The AppSecret of all simulated mini-programs. It is valid for the simulator only.
pub const LOCAL_APP_SECRET: &str = SIMULATED_APP_SECRET;

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
    /// Whether avatars are in the built-in store: when neither `AVATAR_BUCKET` nor
    /// `AWS_ENDPOINT_URL_S3` is set.
    pub store_objects: bool,
    /// Where events of webhooks are.
    pub events: QueuePlace,
    /// Where messages to users are.
    pub messages: QueuePlace,
    /// Whether `WECHAT_APPIDS` is set.
    pub has_app_ids: bool,
    /// Names in the environment that start like settings and are none.
    pub ignored_names: Vec<String>,
    /// Whether WeChat is simulated: when neither `WECHAT_SECRETS` (a real mini-program) nor
    /// `WECHAT_BASE_URL` (another simulator) is set.
    pub simulate_wechat: bool,
}

/// Where the messages of a queue are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePlace {
    /// In a built-in queue: what they are for is on, and the URL of another queue is not set.
    BuiltIn,
    /// In the queue that is set, or nowhere.
    Elsewhere,
}

impl QueuePlace {
    fn built_in_if(is_built_in: bool) -> Self {
        if is_built_in {
            Self::BuiltIn
        } else {
            Self::Elsewhere
        }
    }
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// All invalid settings together.
    pub fn read(env: &Env) -> Result<Self, ConfigErrors> {
        let settings = Self::record(env);
        env.validate()?;
        Ok(settings)
    }

    /// Reads the settings; config errors are recorded in `env`.
    pub(crate) fn record(env: &Env) -> Self {
        // What every process has, so that its errors are reported with the others.
        let _ = ProcessSettings::read(env);
        let _ = LOG_FORMAT.read(env);
        let known: Vec<_> = all_settings().map(|setting| setting.name).collect();
        Self {
            host: host(env),
            port: PORT.read(env),
            data_dir: DATA_DIR.read(env).into(),
            dynamodb_port: DYNAMODB_PORT.read(env),
            metrics_port: METRICS_PORT.get(env).map(|_| METRICS_PORT.read(env)),
            dynamodb_endpoint: AWS_ENDPOINT_URL_DYNAMODB.get(env).map(str::to_owned),
            store_objects: AVATAR_BUCKET.get(env).is_none()
                && AWS_ENDPOINT_URL_S3.get(env).is_none(),
            events: QueuePlace::built_in_if(
                WEBHOOKS.get(env).is_some() && WEBHOOK_QUEUE_URL.get(env).is_none(),
            ),
            messages: QueuePlace::built_in_if(
                (USER_MESSAGES.get(env).is_none() || USER_MESSAGES.read(env))
                    && MESSAGE_QUEUE_URL.get(env).is_none(),
            ),
            has_app_ids: WECHAT_APPIDS.get(env).is_some(),
            ignored_names: check_names(env, &known),
            simulate_wechat: WECHAT_SECRETS.get(env).is_none()
                && WECHAT_BASE_URL.get(env).is_none(),
        }
    }
}

/// The URLs of the parts that stand in for other services.
pub(crate) struct LocalUrls<'a> {
    /// Of the embedded database.
    pub(crate) dynamodb: &'a str,
    /// Of the simulator.
    pub(crate) wechat: &'a str,
    /// Of the object store.
    pub(crate) objects: &'a str,
    /// Of its pictures.
    pub(crate) pictures: &'a str,
    /// Of the queue of webhooks.
    pub(crate) webhooks: &'a str,
    /// Of the queue of messages to users.
    pub(crate) messages: &'a str,
}

/// The bucket of the built-in object store.
pub(crate) const LOCAL_BUCKET: &str = "avatars";
/// The names of the built-in queues: of webhooks, and of messages to users.
pub(crate) const WEBHOOKS_NAME: &str = "webhooks";
pub(crate) const MESSAGES_NAME: &str = "messages";
/// This machine, where receivers of webhooks run that are being developed.
const LOOPBACK: &str = "127.0.0.0/8,::1/128";

/// Adds the functions' settings that are not set, for local development.
pub(crate) fn with_local_defaults(env: Env, settings: &Settings, urls: &LocalUrls<'_>) -> Env {
    let LocalUrls {
        dynamodb,
        wechat,
        objects,
        pictures,
        webhooks,
        messages,
    } = *urls;
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
    let env = if settings.store_objects {
        env.or(AVATAR_BUCKET.name(), LOCAL_BUCKET)
            .or(AWS_ENDPOINT_URL_S3.name(), objects)
            .or(AVATAR_BASE_URL.name(), pictures)
    } else {
        env
    };
    let env = if settings.events == QueuePlace::BuiltIn {
        env.or(WEBHOOK_QUEUE_URL.name(), webhooks)
    } else {
        env
    };
    let env = if settings.messages == QueuePlace::BuiltIn {
        env.or(MESSAGE_QUEUE_URL.name(), messages)
    } else {
        env
    };
    env.or(USER_MESSAGES.name(), "on")
        .or(AWS_REGION.name(), "local")
        .or(AWS_ACCESS_KEY_ID.name(), "local")
        .or(AWS_SECRET_ACCESS_KEY.name(), "local")
        .or(AWS_ENDPOINT_URL_DYNAMODB.name(), dynamodb)
        .or(JWT_SECRETS.name(), LOCAL_JWT_SECRET)
        .or(DATA_KEYS.name(), LOCAL_DATA_KEYS)
        .or(WEBHOOK_PRIVATE_NETWORKS.name(), LOOPBACK)
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
