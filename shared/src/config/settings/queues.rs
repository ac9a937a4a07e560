//! Queues of Amazon SQS.

use http::Uri;
use url::Url;

use super::DynamoSettings;
use crate::config::{AwsCredentials, Env, Optional, Setting};

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

/// The queue whose URL `setting` is, if it is set; a malformed URL is a config error.
pub(super) fn queue(setting: &Setting<Optional>, env: &Env) -> Option<QueueSettings> {
    let text = setting.get(env)?.trim();
    let endpoint = endpoint(text);
    if endpoint.is_none() {
        setting.add_error(env, "can't be read; wanted: the URL of an SQS queue");
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
}
