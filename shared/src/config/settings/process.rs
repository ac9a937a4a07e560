//! What a function's process needs before its parts are built.

use tracing_subscriber::filter::LevelFilter;

use crate::{
    config::{Env, Number, Port, Text},
    settings,
};

settings! {
    /// The settings of logging.
    pub TELEMETRY in Telemetry;

    pub LOG_LEVEL: Text = Text::new("info", "error, warn, info, debug or trace"),
        "the least severe level that is logged; libraries log warnings and errors only",
        "日志级别；依赖库只输出 warn 及以上",
        wanted_zh("`error`、`warn`、`info`、`debug` 或 `trace`");
}

settings! {
    /// The settings that Lambda gives a process.
    pub REQUESTS in Requests;

    AWS_LAMBDA_MAX_CONCURRENCY: Number = Number::new(1, 1..=65_535),
        "set by Lambda: events that a managed instance is given at once; elsewhere one",
        "由 Lambda 设置：托管实例（Managed Instances）一次收到的事件数；其他情况为一个";
}

settings! {
    /// The settings of the extension that fetches secrets.
    pub ENCRYPTION in Encryption;

    pub(in crate::config) PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: Port = Port::new(2773),
        "on Lambda: the port of the extension that fetches secrets which are kept elsewhere",
        "在 Lambda 上：读取外部存放的密钥时，密钥扩展监听的端口";
}

/// What a function's process needs before its parts are built.
pub struct ProcessSettings {
    /// `LOG_LEVEL`; the default in place of an invalid one, so that the other config errors are
    /// found too.
    pub log_level: LevelFilter,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`: events that Lambda gives an instance at once.
    pub max_concurrency: u32,
}

impl ProcessSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            log_level: LOG_LEVEL
                .parse(env, |text| text.parse().ok())
                .unwrap_or(LevelFilter::INFO),
            max_concurrency: AWS_LAMBDA_MAX_CONCURRENCY.read(env),
        }
    }
}
