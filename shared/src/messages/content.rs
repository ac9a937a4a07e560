//! What a message says.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::MessageKind;
use crate::{
    api::{Checks, Rule},
    ids::TemplateId,
    wechat::{CustomMessage, MessageLanguage, MiniProgramState},
};

/// The most fields of a subscribe message.
pub(super) const MAX_FIELDS: usize = 20;
/// The most characters of a field whose kind WeChat does not limit.
const MAX_FIELD: usize = 200;
/// The most characters of a page's path with its query.
const MAX_PAGE: usize = 1024;
/// The most characters of a field, by kind
/// (<https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html>).
const LENGTHS: [(&str, usize); 9] = [
    ("thing", 20),
    ("number", 32),
    ("letter", 32),
    ("symbol", 5),
    ("character_string", 32),
    ("phone_number", 17),
    ("car_number", 8),
    ("name", 20),
    ("phrase", 5),
];

/// What a message says. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A subscribe message.
    Subscribe(SubscribeContent),
    /// A reply of customer service.
    CustomerService {
        /// The reply.
        message: CustomMessage,
    },
}

/// What a subscribe message says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeContent {
    /// The template.
    pub template_id: TemplateId,
    /// The page that a tap on it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The template's fields.
    pub data: BTreeMap<String, String>,
    /// Which version of the mini-program a tap on it opens.
    pub miniprogram_state: MiniProgramState,
    /// The language of the mini-program that it opens.
    pub lang: MessageLanguage,
}

impl Content {
    /// Of which kind it is.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Subscribe(_) => MessageKind::Subscribe,
            Self::CustomerService { .. } => MessageKind::CustomerService,
        }
    }

    /// The template of a subscribe message.
    #[must_use]
    pub fn template_id(&self) -> Option<&TemplateId> {
        match self {
            Self::Subscribe(content) => Some(&content.template_id),
            Self::CustomerService { .. } => None,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?})", self.kind())
    }
}

impl fmt::Debug for SubscribeContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeContent")
            .field("template_id", &self.template_id)
            .finish_non_exhaustive()
    }
}

/// The fields of a template, if there are some and each has a name and a value that WeChat takes.
pub(super) fn fields(
    data: BTreeMap<String, String>,
    checks: &mut Checks,
) -> Option<BTreeMap<String, String>> {
    let are_some = (1..=MAX_FIELDS).contains(&data.len());
    checks.field("data", Rule::TemplateData, are_some.then_some(()))?;
    let mut are_right = true;
    for (name, value) in &data {
        let limit = field_kind(name).map(longest);
        let fits = limit.is_some_and(|limit| is_field(value, limit));
        // A name is client input: returned, but cut to a limit.
        let path = format!("data.{}", name.chars().take(64).collect::<String>());
        are_right &= checks
            .field(&path, Rule::TemplateField, fits.then_some(()))
            .is_some();
    }
    are_right.then_some(data)
}

/// Whether a field of a template can have this name.
pub(super) fn is_field_name(name: &str) -> bool {
    field_kind(name).is_some()
}

/// What stands before the number of a field: `thing` of `thing1`.
fn field_kind(name: &str) -> Option<&str> {
    let kind = name.trim_end_matches(|last: char| last.is_ascii_digit());
    let is_kind = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let is_name = !kind.is_empty()
        && kind.len() < name.len()
        && name.len() <= 32
        && kind.bytes().all(is_kind);
    is_name.then_some(kind)
}

fn longest(kind: &str) -> usize {
    let known = LENGTHS.iter().find(|(known, _)| *known == kind);
    known.map_or(MAX_FIELD, |(_, length)| *length)
}

fn is_field(value: &str, limit: usize) -> bool {
    (1..=limit).contains(&value.chars().count()) && !value.trim().is_empty()
}

/// A page of the mini-program, with a query or without.
pub(super) fn is_page(text: &str) -> bool {
    (1..=MAX_PAGE).contains(&text.chars().count())
        && !text.chars().any(|it| it.is_control() || it == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(entries: &[(&str, &str)]) -> bool {
        let pairs = entries.iter();
        let data = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut checks = Checks::default();
        let fields = fields(data.collect(), &mut checks);
        assert_eq!(fields.is_some(), checks.is_ok());
        fields.is_some()
    }

    #[test]
    fn a_field_is_as_long_as_its_kind_allows() {
        for (name, longest) in [
            ("thing1", 20),
            ("character_string12", 32),
            ("phrase3", 5),
            ("time2", 200),
            ("unknown_kind9", 200),
        ] {
            assert!(accepted(&[(name, &"字".repeat(longest))]), "{name}");
            assert!(!accepted(&[(name, &"字".repeat(longest + 1))]), "{name}");
            assert!(
                !accepted(&[(name, "")]) && !accepted(&[(name, " ")]),
                "{name}"
            );
        }
    }

    #[test]
    fn a_field_is_named_by_a_kind_and_a_number() {
        for bad in [
            "", "1", "thing", "Thing1", "thing1x", "thing 1", "事1", "a.b1",
        ] {
            assert!(!accepted(&[(bad, "x")]), "{bad}");
        }
    }

    #[test]
    fn a_template_has_1_to_20_fields() {
        let names: Vec<_> = (1..=21).map(|number| format!("thing{number}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert!(accepted(&entries[..20]));
        assert!(!accepted(&entries) && !accepted(&[]));
    }

    #[test]
    fn debug_shows_nothing_of_the_content() {
        let content: Content = serde_json::from_value(serde_json::json!({
            "type": "subscribe", "templateId": "T1", "page": "pages/secret",
            "data": {"thing1": "secret"}, "miniprogramState": "formal", "lang": "zh_CN",
        }))
        .unwrap();
        assert!(!format!("{content:?}").contains("secret"));
        let Content::Subscribe(content) = content else {
            unreachable!()
        };
        assert!(!format!("{content:?}").contains("secret"));
    }
}
