//! The server's own settings.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use gateway::{METRICS_PORT, PORT, address, check_names, host, settings_of_functions};
use shared::config::{
    AWS_ENDPOINT_URL_DYNAMODB, Documented, Env, Number, Optional, Period, ProcessSettings, Text,
    Words,
};

use crate::{credentials, strict};

shared::settings! {
    /// The settings of the server, for the documents.
    pub DOCUMENTED in Server;

    MAX_CONNECTIONS: Number = Number::new(1024, 1..=65_535),
        "`server` only: connections that may be open; above that, of the client address with the most of them, the one that has let the server wait longest is closed. The limit of open files has to be above twice that",
        "仅 `server`：同时打开的连接数上限；超出时，在连接最多的客户端地址中，关闭让服务器等待最久的连接。进程可打开的文件数应大于其两倍";
    KEEP_ALIVE_SECONDS: Period = Period::seconds(75, 1..=3600),
        "`server` only: how long a connection without a request stays open. It has to be longer than the load balancer in front keeps one, which otherwise sends requests to connections that are being closed",
        "仅 `server`：没有请求的连接保持打开的时间。应长于前面的负载均衡保持连接的时间，否则它会向正在关闭的连接发送请求";
    SHUTDOWN_DELAY_SECONDS: Period = Period::seconds(0, 0..=300),
        "`server` only: after SIGTERM it goes on for this long, except that `/ready` is answered 503, so that load balancers take it out",
        "仅 `server`：收到 SIGTERM 后继续正常服务的时间，其间 `/ready` 返回 503，供负载均衡摘除";
    SHUTDOWN_SECONDS: Period = Period::seconds(20, 1..=600),
        "`server` only: after that it takes no new connections, and requests in flight have this long to end",
        "仅 `server`：此后不再接受新连接，处理中的请求最多再用这么久";
    pub EMBEDDED_DATA: Optional = Optional::new("a folder"),
        "`server` only: keeps all data in an SQLite file in this folder in place of DynamoDB. One process, one disk, no replica; docs/server.md says how it is backed up",
        "仅 `server`：把全部数据保存在此目录的 SQLite 文件中，代替 DynamoDB。只有一个进程、一块磁盘、没有副本；备份方法见 docs/zh/server.md",
        wanted_zh("目录"), unset("not set: DynamoDB", "未设置：使用 DynamoDB"), example("/var/lib/weapp");
    METRICS_HOST: Text = Text::new("127.0.0.1", "an IP address, or a name of this machine such as localhost"),
        "`server` only: the address that `METRICS_PORT` listens on. Whoever can call it reads the metrics; the image sets it to 0.0.0.0",
        "仅 `server`：`METRICS_PORT` 的监听地址。能访问它的人都能读取指标；镜像中设为 0.0.0.0",
        wanted_zh("IP 地址，或本机的主机名（如 `localhost`）");
    ALLOW_SIMULATOR: Words<bool> = Words::new(&["on", "off"], &[true, false], 1),
        "`server` only: lets `WECHAT_BASE_URL` be a simulator, with which anybody can log in as anybody: for load tests",
        "仅 `server`：允许 `WECHAT_BASE_URL` 指向模拟器（任何人可以任意身份登录），仅用于压力测试";
}

/// The server's settings.
pub(crate) struct Settings {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    /// `None`: off.
    pub(crate) metrics_port: Option<u16>,
    pub(crate) connections: usize,
    pub(crate) keep_alive: Duration,
    pub(crate) delay: Duration,
    pub(crate) shutdown: Duration,
    pub(crate) embedded: Option<PathBuf>,
    pub(crate) metrics_host: IpAddr,
    pub(crate) allows_simulator: bool,
    /// Unknown names in the environment that start like settings.
    pub(crate) ignored_names: Vec<String>,
}

impl Settings {
    /// Reads the settings; config errors are recorded in `env`.
    pub(crate) fn read(env: &Env) -> Self {
        let _ = ProcessSettings::read(env);
        let known: Vec<_> = all_settings().map(|setting| setting.name).collect();
        let embedded = EMBEDDED_DATA.get(env).map(PathBuf::from);
        if embedded.is_some() && AWS_ENDPOINT_URL_DYNAMODB.get(env).is_some() {
            EMBEDDED_DATA.add_error(env, "is set, and so is AWS_ENDPOINT_URL_DYNAMODB");
        }
        let allows_simulator = ALLOW_SIMULATOR.read(env);
        strict::check(env, allows_simulator);
        strict::check_examples(env, all_settings());
        strict::check_webhooks(env);
        Self {
            host: host(env),
            port: PORT.read(env),
            metrics_port: METRICS_PORT.get(env).map(|_| METRICS_PORT.read(env)),
            connections: usize::try_from(MAX_CONNECTIONS.read(env)).unwrap_or(usize::MAX),
            keep_alive: KEEP_ALIVE_SECONDS.read(env),
            delay: SHUTDOWN_DELAY_SECONDS.read(env),
            shutdown: SHUTDOWN_SECONDS.read(env),
            embedded,
            metrics_host: METRICS_HOST
                .parse(env, address)
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            allows_simulator,
            ignored_names: check_names(env, &known),
        }
    }
}

/// Every setting that the server knows.
fn all_settings() -> impl Iterator<Item = &'static Documented> {
    settings_of_functions().chain(own_settings())
}

/// Those that only the server has.
pub fn own_settings() -> impl Iterator<Item = &'static Documented> {
    DOCUMENTED.iter().chain(credentials::DOCUMENTED)
}
