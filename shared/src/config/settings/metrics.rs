//! Metrics of a deployed function.

use crate::{
    config::{Env, Text, Words},
    settings,
    telemetry::Detail,
};

settings! {
    /// The settings of metrics.
    pub DOCUMENTED in Telemetry;

    METRICS: Words<Option<Detail>> = Words::new(
        &["lean", "emf", "off"],
        &[Some(Detail::Lean), Some(Detail::Full), None],
        0,
    ),
        "deployed functions only: metrics that CloudWatch takes from the log, each series of which it bills: `lean` writes the few that alarms need, `emf` all of them, `off` none",
        "仅部署后的函数：CloudWatch 从日志中提取的指标，按序列计费：`lean` 只写告警所需的少数指标，`emf` 写全部，`off` 不写";
    METRICS_NAMESPACE: Text = Text::new("weapp-serverless", "1 to 255 letters, digits and .-_/#:"),
        "deployed functions only: the namespace in CloudWatch; `template.yaml` takes the stack's name",
        "仅部署后的函数：CloudWatch 中的命名空间；`template.yaml` 用的是堆栈名",
        wanted_zh("1 到 255 个字母、数字和 `.-_/#:`");
}

/// Metrics of a deployed function. A server of your own has a port for them instead.
pub struct MetricsSettings {
    /// `METRICS`: how many are written as members of log lines that CloudWatch takes for metrics.
    pub detail: Option<Detail>,
    /// `METRICS_NAMESPACE`: where in CloudWatch.
    pub namespace: String,
}

impl MetricsSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            detail: METRICS.read(env),
            namespace: METRICS_NAMESPACE
                .parse(env, |text| is_namespace(text).then(|| text.to_owned()))
                .unwrap_or_default(),
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>
fn is_namespace(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    text.len() <= 255 && !text.starts_with(':') && text.bytes().all(allowed)
}
