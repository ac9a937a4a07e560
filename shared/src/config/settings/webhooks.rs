//! The queue of webhooks, and what is kept of deliveries that failed.

use std::time::Duration;

use http::Uri;
use url::Url;

use super::DynamoSettings;
use crate::{
    config::{AwsCredentials, Env, Optional, Period},
    settings,
};

settings! {
    /// The settings of webhooks that several functions have.
    pub DOCUMENTED in Webhooks;

    pub WEBHOOK_QUEUE_URL: Optional = Optional::new("the URL of an SQS queue"),
        "the queue that events wait in until receivers have them ([webhooks.md](webhooks.md))",
        "存放待投递事件的 SQS 队列（见 [webhooks.md](webhooks.md)）",
        wanted_zh("SQS 队列的 URL"), unset("not set: there are no webhooks", "未设置：不启用 webhook"),
        example("https://sqs.ap-southeast-1.amazonaws.com/123456789012/weapp-webhooks");
    WEBHOOK_FAILURE_DAYS: Period = Period::days(30, 1..=365),
        "how long a delivery that was given up is listed, and can be sent again",
        "放弃投递的事件保留多久，期间可查看并重新投递";
}

/// A queue, and who calls it.
pub struct QueueSettings {
    /// Its URL, which names it in calls.
    pub url: String,
    /// Where calls are sent.
    pub endpoint: Uri,
    /// `AWS_REGION`.
    pub region: String,
    /// Those of DynamoDB's calls.
    pub credentials: AwsCredentials,
}

/// What functions have to do with webhooks.
pub struct WebhookSettings {
    /// `WEBHOOK_QUEUE_URL`. None: there are no webhooks.
    pub queue: Option<QueueSettings>,
    /// `WEBHOOK_FAILURE_DAYS`.
    pub failure_retention: Duration,
}

impl WebhookSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            queue: queue(env),
            failure_retention: WEBHOOK_FAILURE_DAYS.read(env),
        }
    }
}

fn queue(env: &Env) -> Option<QueueSettings> {
    let text = WEBHOOK_QUEUE_URL.get(env)?.trim();
    let endpoint = endpoint(text);
    if endpoint.is_none() {
        WEBHOOK_QUEUE_URL.add_error(env, "can't be read; wanted: the URL of an SQS queue");
    }
    let dynamo = DynamoSettings::read(env);
    Some(QueueSettings {
        url: text.to_owned(),
        endpoint: endpoint?,
        region: dynamo.region,
        credentials: dynamo.credentials,
    })
}

/// The JSON protocol is served at the root of the host that the queue's URL names; a local queue can be
/// below a path, which ends before the two last parts: account and name.
fn endpoint(url: &str) -> Option<Uri> {
    let parsed = Url::parse(url).ok()?;
    let is_one = matches!(parsed.scheme(), "http" | "https")
        && parsed.has_host()
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.password().is_none();
    let (rest, name) = url.rsplit_once('/')?;
    let (root, account) = rest.rsplit_once('/')?;
    let is_queue = is_one && !name.is_empty() && !account.is_empty() && !root.ends_with('/');
    is_queue.then(|| root.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_to_the_host_of_the_queue() {
        for (url, wanted) in [
            (
                "https://sqs.us-east-1.amazonaws.com/123456789012/q",
                Some("https://sqs.us-east-1.amazonaws.com/"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q",
                Some("https://sqs.cn-north-1.amazonaws.com.cn/"),
            ),
            (
                "http://127.0.0.1:9000/_queue/0/webhooks",
                Some("http://127.0.0.1:9000/_queue"),
            ),
            ("https://sqs.us-east-1.amazonaws.com/q", None),
            ("https://sqs.us-east-1.amazonaws.com/1/", None),
            ("https://sqs.us-east-1.amazonaws.com/1/q?x", None),
            ("arn:aws:sqs:us-east-1:1:q", None),
            ("q", None),
        ] {
            assert_eq!(endpoint(url), wanted.map(|it| it.parse().unwrap()), "{url}");
        }
    }

    #[test]
    fn a_text_that_is_no_queue_is_a_config_error() {
        let aws = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|it| (it, "x"));
        let env = Env::new(aws.into_iter().chain([("WEBHOOK_QUEUE_URL", "q")]));
        assert!(WebhookSettings::read(&env).queue.is_none());
        assert_eq!(env.validate().unwrap_err().0.len(), 1);
    }
}
