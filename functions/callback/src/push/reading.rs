//! Reads the fields of pushed messages into typed events. Blanks around kinds, ids and numbers are
//! layout; numbers may be text, and text numbers. Names of fields and kinds may have another case.

use serde_json::Value;
use shared::{ids::OpenId, lenient_json::is_layout};

use super::{
    Event, Fields, Grant, MediaCheck,
    event::ReadError,
    fields::{as_text, as_word, find, text, word},
};

impl Event {
    /// A known event is one whatever its `MsgType` says. What names neither an event nor another
    /// kind of message could be any, so it is not understood.
    pub(super) fn read(fields: &Fields) -> Result<Self, ReadError> {
        let name = |field| word(fields, field).map(|name| name.to_ascii_lowercase());
        let event = name("Event");
        if let Some(event) = &event
            && let Some(known) = Self::named(fields, event)?
        {
            return Ok(known);
        }
        let is_structure = |value: &Value| value.is_array() || value.is_object();
        let hides_name = find(fields, "Event").is_some_and(is_structure);
        match (name("MsgType"), event) {
            (Some(kind), _) if kind != "event" && !hides_name => Ok(Self::message(fields, &kind)),
            (_, Some(_)) => Ok(Self::Unknown),
            (None, None) if !hides_name => Err(ReadError::NotUnderstood {
                kind: "message",
                field: "MsgType",
            }),
            _ => Err(ReadError::NotUnderstood {
                kind: "event",
                field: "Event",
            }),
        }
    }

    fn message(fields: &Fields, kind: &str) -> Self {
        let open_id = || Known::new(fields, "").open_id("FromUserName").ok();
        let message = match kind {
            "text" => open_id()
                .zip(text(fields, "Content"))
                .map(|(open_id, content)| Self::Text { open_id, content }),
            "image" => open_id()
                .zip(word(fields, "PicUrl"))
                .map(|(open_id, pic_url)| Self::Image {
                    open_id,
                    pic_url,
                    media_id: word(fields, "MediaId").unwrap_or_default(),
                }),
            _ => None,
        };
        message.unwrap_or(Self::Unknown)
    }

    /// The event of this name, if it is a known one.
    fn named(fields: &Fields, name: &str) -> Result<Option<Self>, ReadError> {
        let known = |kind| Known::new(fields, kind);
        Ok(Some(match name {
            "user_authorization_revoke" => {
                let event = known("user_authorization_revoke");
                Self::AuthorizationRevoked {
                    open_id: event.open_id("OpenID")?,
                    grants: event.need("RevokeInfo", grants)?,
                }
            }
            "user_info_modified" => Self::UserInfoModified {
                open_id: known("user_info_modified").open_id("OpenID")?,
            },
            "user_authorization_cancellation" => Self::AuthorizationCancelled {
                open_id: known("user_authorization_cancellation").open_id("OpenID")?,
            },
            "wxa_media_check" => Self::MediaChecked(MediaCheck::read(known("wxa_media_check"))?),
            "debug_demo" => Self::DebugDemo {
                text: known("debug_demo").need("debug_str", as_text)?,
            },
            _ => return Ok(None),
        }))
    }
}

/// The fields of a known event.
#[derive(Clone, Copy)]
struct Known<'a> {
    fields: &'a Fields,
    kind: &'static str,
}

impl<'a> Known<'a> {
    fn new(fields: &'a Fields, kind: &'static str) -> Self {
        Self { fields, kind }
    }

    /// A required field.
    fn need<T>(
        self,
        field: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, ReadError> {
        let kind = self.kind;
        let value = find(self.fields, field).and_then(read);
        value.ok_or(ReadError::NotUnderstood { kind, field })
    }

    fn open_id(self, field: &'static str) -> Result<OpenId, ReadError> {
        self.need(field, |value| as_word(value)?.parse().ok())
    }
}

impl MediaCheck {
    fn read(event: Known<'_>) -> Result<Self, ReadError> {
        let result = find(event.fields, "result").and_then(Value::as_object);
        let detail = |name: &str| result.and_then(|result| word(result, name));
        let errcode = match find(event.fields, "errcode") {
            None => 0,
            Some(_) => event.need("errcode", |code| as_word(code)?.parse().ok())?,
        };
        Ok(Self {
            trace_id: event.need("trace_id", as_word)?,
            errcode,
            suggest: detail("suggest"),
            label: detail("label").and_then(|label| label.parse().ok()),
        })
    }
}

/// WeChat documents a single number; if it ever sends several, all of them count. `None` unless all
/// are numbers: what is not understood can't be carried out.
fn grants(value: &Value) -> Option<Vec<Grant>> {
    let texts = match value {
        Value::Array(values) => values.iter().map(as_word).collect::<Option<Vec<_>>>()?,
        value => vec![as_word(value)?],
    };
    let is_separator = |c: char| is_layout(c) || ",;|，；、[]\"".contains(c);
    let numbers = texts.iter().flat_map(|text| text.split(is_separator));
    let grants: Vec<_> = numbers
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().ok().map(Grant))
        .collect::<Option<_>>()?;
    (!grants.is_empty()).then_some(grants)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_revoked_grants_all_count() {
        let expected = [6, 19, 20].map(Grant);
        for several in [
            json!("6,19|20"),
            json!(" 6 ; 19\n20 "),
            json!([6, "19", " 20"]),
            json!("[\"6\",\"19\",\"20\"]"),
        ] {
            assert_eq!(grants(&several).unwrap(), expected, "{several}");
        }
        for unclear in [
            json!(""),
            json!(" "),
            json!("nonsense"),
            json!("6 and more"),
            json!([]),
            json!([[6]]),
            json!(true),
            json!(null),
            json!({"6": 1}),
            json!(6.5),
            json!("99999999999"),
        ] {
            assert_eq!(grants(&unclear), None, "{unclear}");
        }
    }
}
