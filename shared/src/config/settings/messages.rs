//! Messages to users.

use std::time::Duration;

use super::queues::{QueueSettings, queue};
use crate::{
    config::{Env, List, Optional, Period, Words},
    ids::TemplateId,
    settings,
};

settings! {
    /// The settings of messages to users.
    pub DOCUMENTED in Messages;

    pub USER_MESSAGES: Words<bool> = Words::new(&["on", "off"], &[true, false], 1),
        "whether messages are sent to users ([messages.md](messages.md)). `make run` has them on",
        "是否给用户发消息（见 [messages.md](messages.md)）。`make run` 默认开启",
        has_local_value();
    pub MESSAGE_QUEUE_URL: Optional = Optional::new("the URL of an SQS queue"),
        "the queue of messages to users, which has them sent at once; the table alone has them sent a little later",
        "用户消息的 SQS 队列，使消息立即发送；没有队列时由数据表稍后发送",
        wanted_zh("SQS 队列的 URL"), unset("not set: no queue", "未设置：没有队列"),
        example("https://sqs.ap-southeast-1.amazonaws.com/123456789012/weapp-messages"), has_local_value();
    MESSAGE_TEMPLATES: List = List::optional("ids of templates, separated by commas"),
        "the templates of subscribe messages that are used; when set, others are refused",
        "使用的订阅消息模板；设置后拒绝其他模板",
        wanted_zh("模板 ID，逗号分隔"), example("priTmplId-0123456789abcdefghijklmnopqrstuvw");
    MESSAGE_DAYS: Period = Period::days(30, 15..=365),
        "how long a message is kept after it was ordered; its idempotency key is known as long",
        "消息记录的保留时间，幂等键在此期间有效";
    MESSAGE_GRANT_DAYS: Period = Period::days(365, 1..=3650),
        "how long a user's agreement to receive one subscribe message counts, if it is not used",
        "用户同意接收的一次订阅消息，未使用时的有效期";
    MESSAGE_RETRY_SECONDS: Period = Period::seconds(86_400, 60..=604_800),
        "how long a message is tried again while WeChat can't take it",
        "微信暂时无法接收时，消息继续重试的时间";
}

/// What the sender of messages is told.
pub struct MessageSettings {
    /// `MESSAGE_RETRY_SECONDS`.
    pub retry: Duration,
}

impl MessageSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            retry: MESSAGE_RETRY_SECONDS.read(env),
        }
    }
}

/// `MESSAGE_QUEUE_URL`. None: the table alone has the messages.
#[must_use]
pub fn message_queue(env: &Env) -> Option<QueueSettings> {
    queue(&MESSAGE_QUEUE_URL, env)
}

/// `MESSAGE_DAYS`: how long a message is kept.
#[must_use]
pub fn message_retention(env: &Env) -> Duration {
    MESSAGE_DAYS.read(env)
}

/// `MESSAGE_GRANT_DAYS`: how long a grant counts.
#[must_use]
pub fn grant_retention(env: &Env) -> Duration {
    MESSAGE_GRANT_DAYS.read(env)
}

/// `MESSAGE_TEMPLATES`: the templates that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTemplates(Vec<TemplateId>);

impl MessageTemplates {
    /// Reads the setting; an entry that names no template is a config error.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let parse = |(index, text): (usize, &str)| {
            let template = text.parse().ok();
            if template.is_none() {
                MESSAGE_TEMPLATES.add_entry_error(env, index, "is not the id of a template");
            }
            template
        };
        let entries = MESSAGE_TEMPLATES.entries(env).enumerate();
        Self(entries.filter_map(parse).collect())
    }

    /// Whether messages of this template may be sent.
    #[must_use]
    pub fn allow(&self, template: &TemplateId) -> bool {
        self.0.is_empty() || self.0.contains(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (MessageTemplates, usize) {
        let env = Env::new([("MESSAGE_TEMPLATES", text)]);
        let templates = MessageTemplates::read(&env);
        (
            templates,
            env.validate().map_or_else(|errors| errors.0.len(), |()| 0),
        )
    }

    #[test]
    fn a_template_is_allowed_that_is_configured_and_every_one_where_none_is() {
        let (first, second) = ("T-1".parse().unwrap(), "T_2".parse().unwrap());
        let (templates, errors) = read("T-1 , T_3");
        assert_eq!(errors, 0);
        assert!(templates.allow(&first) && !templates.allow(&second));
        let (none, _) = read("");
        assert!(none.allow(&first) && none.allow(&second));
    }

    #[test]
    fn an_entry_that_is_no_template_is_a_config_error() {
        for wrong in ["wx1:T1", "a#b", "a b"] {
            assert_eq!(read(wrong).1, 1, "{wrong}");
        }
    }
}
