//! Orders to send a message: bodies of `POST /api/v1/messages`, and messages that functions of one's
//! own put into the queue. Both are the same JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Content, IdempotencyKey, MessageId, SubscribeContent,
    content::{self, is_page},
    customer_service,
};
use crate::{
    api::{Checks, Input, Optional, Rule, Violation},
    config::MessageTemplates,
    ids::{AppId, UserId},
    wechat::{CustomMessage, MessageLanguage, MiniProgramState},
};

/// An order whose fields have the right types.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "NewMessage")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawMessageRequest {
    /// Names the message: the same key and message again is the same order, which sends nothing twice.
    /// It is known for `MESSAGE_DAYS`.
    #[cfg_attr(feature = "openapi", schemars(with = "IdempotencyKey"))]
    idempotency_key: String,
    /// Who gets it.
    #[cfg_attr(feature = "openapi", schemars(with = "UserId"))]
    user_id: String,
    /// In which mini-program; the first one if it is not named.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "AppId"))]
    app_id: Optional<String>,
    /// `subscribe` needs `templateId` and `data`, `customer_service` needs `message`; neither has fields
    /// of the other.
    #[cfg_attr(feature = "openapi", schemars(with = "super::MessageKind"))]
    r#type: String,
    /// The template.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "crate::ids::TemplateId"))]
    template_id: Optional<String>,
    /// The page that a tap on the message opens, with a query or without.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "String", length(min = 1, max = 1024))
    )]
    page: Optional<String>,
    /// The template's fields: 1 to 20, each as long as WeChat takes its kind.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "BTreeMap<String, String>"))]
    data: Optional<BTreeMap<String, String>>,
    /// Which version of the mini-program a tap opens; `formal` if it is not named.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "MiniProgramState"))]
    miniprogram_state: Optional<MiniProgramState>,
    /// The language of the mini-program that a tap opens; `zh_CN` if it is not named.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "MessageLanguage"))]
    lang: Optional<MessageLanguage>,
    /// The reply of customer service.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "CustomMessage"))]
    message: Optional<CustomMessage>,
}

/// The body of a request. The handler checks it, because two rules are settings.
impl Input for RawMessageRequest {
    type Raw = Self;

    fn parse(raw: Self, _: &mut Checks) -> Option<Self> {
        Some(raw)
    }
}

/// What the settings say of orders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MessageRules {
    /// The mini-programs, the default one first.
    pub apps: Vec<AppId>,
    /// The templates.
    pub templates: MessageTemplates,
}

/// An order to send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRequest {
    /// What the caller names it with.
    pub key: IdempotencyKey,
    /// Who gets it.
    pub user: UserId,
    /// In which mini-program.
    pub app_id: AppId,
    /// What it says.
    pub content: Content,
}

impl RawMessageRequest {
    /// The order, if it follows all rules.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub fn check(self, rules: &MessageRules) -> Result<MessageRequest, Vec<Violation>> {
        let mut checks = Checks::default();
        let request = self.parse(rules, &mut checks);
        checks.finish()?;
        // What was not parsed broke a rule.
        request.ok_or_else(|| vec![Violation::new("", Rule::Type)])
    }

    fn parse(self, rules: &MessageRules, checks: &mut Checks) -> Option<MessageRequest> {
        let key = self.idempotency_key.parse().ok();
        let key = checks.field("idempotencyKey", Rule::IdempotencyKey, key);
        let user = checks.field("userId", Rule::UserId, self.user_id.parse().ok());
        let app_id = checks.field("appId", Rule::AppId, rules.app(self.app_id.0.as_deref()));
        let content = match self.r#type.as_str() {
            "subscribe" => self.subscribe(rules, checks),
            "customer_service" => self.customer_service(checks),
            _ => checks.field("type", Rule::MessageType, None),
        };
        Some(MessageRequest {
            key: key?,
            user: user?,
            app_id: app_id?,
            content: content?,
        })
    }

    fn subscribe(self, rules: &MessageRules, checks: &mut Checks) -> Option<Content> {
        absent("message", &self.message, checks);
        let template = present("templateId", self.template_id, checks).and_then(|text| {
            let template = text.parse().ok();
            let template = template.filter(|template| rules.templates.allow(template));
            checks.field("templateId", Rule::TemplateId, template)
        });
        let page = self.page.0;
        let is_right = page.as_deref().is_none_or(is_page);
        checks.field("page", Rule::Page, is_right.then_some(()));
        let data = present("data", self.data, checks);
        let data = data.and_then(|data| content::fields(data, checks));
        Some(Content::Subscribe(SubscribeContent {
            template_id: template?,
            page,
            data: data?,
            miniprogram_state: self.miniprogram_state.0.unwrap_or_default(),
            lang: self.lang.0.unwrap_or_default(),
        }))
    }

    fn customer_service(self, checks: &mut Checks) -> Option<Content> {
        absent("templateId", &self.template_id, checks);
        absent("page", &self.page, checks);
        absent("data", &self.data, checks);
        absent("miniprogramState", &self.miniprogram_state, checks);
        absent("lang", &self.lang, checks);
        let message = present("message", self.message, checks)?;
        let message = customer_service::check(message, checks)?;
        Some(Content::CustomerService { message })
    }
}

fn present<T>(field: &str, value: Optional<T>, checks: &mut Checks) -> Option<T> {
    checks.field(field, Rule::Required, value.0)
}

/// A field that messages of the type don't have.
fn absent<T>(field: &str, value: &Optional<T>, checks: &mut Checks) {
    checks.field(field, Rule::Unknown, value.0.is_none().then_some(()));
}

impl MessageRules {
    /// The mini-program of this name; the first one if none is named.
    fn app(&self, named: Option<&str>) -> Option<AppId> {
        let mut apps = self.apps.iter();
        let app = match named {
            Some(named) => apps.find(|app| app.as_str() == named),
            None => apps.next(),
        };
        app.cloned()
    }
}

impl MessageRequest {
    /// The id of its message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId::of(self.user, &self.key)
    }

    /// What tells it from another order with the same key.
    pub(super) fn digest(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            app: &'a AppId,
            content: &'a Content,
        }
        let whole = Whole {
            app: &self.app_id,
            content: &self.content,
        };
        // Texts and maps of texts: writing them can't fail.
        let whole = serde_json::to_vec(&whole).unwrap_or_default();
        hex::encode(&Sha256::digest(whole)[..16])
    }
}

#[cfg(test)]
mod tests;
