//! Messages to users.

use std::time::Duration;

use super::queues::{QueueSettings, queue};
use crate::{
    config::{Env, List, Optional, Period},
    ids::{AppId, TemplateId},
    settings,
};

settings! {
    /// The settings of messages to users.
    pub DOCUMENTED in Messages;

    pub MESSAGE_QUEUE_URL: Optional = Optional::new("the URL of an SQS queue"),
        "the queue that messages to users wait in until they are sent ([messages.md](messages.md))",
        "存放待发送用户消息的 SQS 队列（见 [messages.md](messages.md)）",
        wanted_zh("SQS 队列的 URL"), unset("not set: no messages are sent", "未设置：不发送消息"),
        example("https://sqs.ap-southeast-1.amazonaws.com/123456789012/weapp-messages");
    MESSAGE_TEMPLATES: List = List::optional("appid:templateId for each template, separated by commas"),
        "the templates of subscribe messages that are used; when set, others are refused",
        "使用的订阅消息模板；设置后拒绝其他模板",
        wanted_zh("`appid:模板ID`，逗号分隔"), example("wx0123456789abcdef:priTmplId-0123456789");
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

/// What functions have to do with messages to users.
pub struct MessageSettings {
    /// `MESSAGE_QUEUE_URL`. None: no messages are sent.
    pub queue: Option<QueueSettings>,
    /// `MESSAGE_TEMPLATES`.
    pub templates: MessageTemplates,
    /// `MESSAGE_DAYS`.
    pub retention: Duration,
    /// `MESSAGE_GRANT_DAYS`.
    pub grant_retention: Duration,
    /// `MESSAGE_RETRY_SECONDS`.
    pub retry: Duration,
}

impl MessageSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            queue: queue(&MESSAGE_QUEUE_URL, env),
            templates: MessageTemplates::read(env),
            retention: MESSAGE_DAYS.read(env),
            grant_retention: MESSAGE_GRANT_DAYS.read(env),
            retry: MESSAGE_RETRY_SECONDS.read(env),
        }
    }
}

/// `MESSAGE_TEMPLATES`: the templates that are used, by mini-program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageTemplates(Vec<(AppId, TemplateId)>);

impl MessageTemplates {
    /// Reads the setting; an entry that names no template is a config error.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let parse = |(index, text): (usize, &str)| {
            let entry = template(text);
            if entry.is_none() {
                MESSAGE_TEMPLATES.add_entry_error(env, index, "is not appid:templateId");
            }
            entry
        };
        let entries = MESSAGE_TEMPLATES.entries(env).enumerate();
        Self(entries.filter_map(parse).collect())
    }

    /// Whether messages of this template may be sent in the mini-program.
    #[must_use]
    pub fn allow(&self, app_id: &AppId, template: &TemplateId) -> bool {
        self.0.is_empty() || self.of(app_id).any(|allowed| allowed == template)
    }

    /// Those that are configured for the mini-program.
    pub fn of(&self, app_id: &AppId) -> impl Iterator<Item = &TemplateId> {
        let of_app = self.0.iter().filter(move |(app, _)| app == app_id);
        of_app.map(|(_, template)| template)
    }
}

fn template(text: &str) -> Option<(AppId, TemplateId)> {
    let (app_id, template) = text.split_once(':')?;
    Some((app_id.trim().parse().ok()?, template.trim().parse().ok()?))
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
    fn a_template_is_allowed_in_its_mini_program_or_everywhere_where_none_is_configured() {
        let (one, other) = ("wx1".parse().unwrap(), "wx2".parse().unwrap());
        let (first, second) = ("T-1".parse().unwrap(), "T_2".parse().unwrap());
        let (templates, errors) = read("wx1:T-1, wx2 : T_2");
        assert_eq!(errors, 0);
        assert!(templates.allow(&one, &first) && templates.allow(&other, &second));
        assert!(!templates.allow(&one, &second) && !templates.allow(&other, &first));
        assert_eq!(templates.of(&one).collect::<Vec<_>>(), [&first]);
        let (none, _) = read("");
        assert!(none.allow(&one, &second));
        assert_eq!(none.of(&one).count(), 0);
    }

    #[test]
    fn an_entry_without_a_mini_program_or_a_template_is_a_config_error() {
        for wrong in ["T1", "wx1:", ":T1", "wx1:a#b", "wx1:a b"] {
            assert_eq!(read(wrong).1, 1, "{wrong}");
        }
    }
}
