//! The queue of webhooks, and what is kept of deliveries that failed.

use std::time::Duration;

use super::queues::{QueueSettings, queue};
use crate::{
    config::{Env, Optional, Period},
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
            queue: queue(&WEBHOOK_QUEUE_URL, env),
            failure_retention: WEBHOOK_FAILURE_DAYS.read(env),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_queue_is_a_config_error() {
        let aws = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|it| (it, "x"));
        let env = Env::new(aws.into_iter().chain([("WEBHOOK_QUEUE_URL", "q")]));
        assert!(WebhookSettings::read(&env).queue.is_none());
        assert_eq!(env.validate().unwrap_err().0.len(), 1);
    }
}
