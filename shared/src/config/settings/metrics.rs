//! Metrics of a deployed function.

use crate::config::Env;

/// Metrics of a deployed function. A server of our own has a port for them instead.
pub struct MetricsSettings {
    /// `METRICS`: `emf` writes them as log lines that CloudWatch takes for metrics, `off` does not.
    /// Default `emf`.
    pub emf: bool,
    /// `METRICS_NAMESPACE`: where in CloudWatch, 1 to 255 of letters, digits and `.-_/#:`. Default
    /// `weapp-serverless`.
    pub namespace: String,
}

impl MetricsSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let emf = match env.get("METRICS") {
            None | Some("emf") => true,
            Some("off") => false,
            Some(_) => {
                env.problem("METRICS", "is neither emf nor off");
                false
            }
        };
        let namespace = env.get("METRICS_NAMESPACE").unwrap_or("weapp-serverless");
        // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
        if namespace.len() > 255 || namespace.starts_with(':') || !namespace.bytes().all(allowed) {
            env.problem(
                "METRICS_NAMESPACE",
                "is no namespace: 1 to 255 letters, digits and .-_/#:",
            );
        }
        Self {
            emf,
            namespace: namespace.to_owned(),
        }
    }
}
