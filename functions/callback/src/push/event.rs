//! The content of pushed messages, as typed events.
//!
//! Source:
//! `developers.weixin.qq.com/miniprogram/dev/server/event_push/platform/authorized_user_information_changes`
//! and `developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html`

use std::fmt;

use sha2::{Digest, Sha256};

use super::{
    Fields, Format, FormatError,
    fields::{text, without_layout, word},
};
use shared::ids::{AppId, OpenId};
use thiserror::Error;

/// A message or an event, verified to come from WeChat and to be for this mini-program.
///
/// `Debug` shows no content, because it is personal data.
pub struct Push {
    /// The mini-program.
    pub app_id: AppId,
    /// Its format, which a reply must have, too.
    pub format: Format,
    /// The typed content.
    pub event: Event,
    /// All fields, including those that `event` omits.
    pub fields: Fields,
}

/// The typed content of a pushed message.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// `user_authorization_revoke`: a user revoked the mini-program's access to personal data,
    /// which must be deleted.
    AuthorizationRevoked {
        /// The user.
        open_id: OpenId,
        /// The revoked grants.
        grants: Vec<Grant>,
    },
    /// `user_info_modified`: WeChat removed a user's nickname and avatar as risky, and requires the
    /// same here.
    UserInfoModified {
        /// The user.
        open_id: OpenId,
    },
    /// `user_authorization_cancellation`: a user cancelled the WeChat account, and all data of the
    /// user must be deleted.
    AuthorizationCancelled {
        /// The user.
        open_id: OpenId,
    },
    /// `wxa_media_check`: the outcome of `mediaCheckAsync`.
    MediaChecked(MediaCheck),
    /// A text that a user sent to the mini-program's customer service.
    Text {
        /// The user.
        open_id: OpenId,
        /// The text.
        content: String,
    },
    /// A picture that a user sent to the mini-program's customer service.
    Image {
        /// The user.
        open_id: OpenId,
        /// Its temporary URL.
        pic_url: String,
        /// Its media id at WeChat, valid for three days.
        media_id: String,
    },
    /// `debug_demo`: what the console's debugging tool sends.
    DebugDemo {
        /// Its text.
        text: String,
    },
    /// Any other message or event, or a text or a picture without a required field.
    Unknown,
}

/// Why a message is not read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// Neither JSON nor XML.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A known event without a field that it needs, or with another form of it, or a message that
    /// does not tell what it is. It is not [`Event::Unknown`], because it may carry a duty (to
    /// delete something).
    #[error("{kind}: its {field} is missing or not understood")]
    NotUnderstood {
        /// The event, by WeChat's name; `event` or `message` when it has none.
        kind: &'static str,
        /// The field, by WeChat's name.
        field: &'static str,
    },
}

/// A permission that a user granted to a mini-program, by WeChat's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant(pub u32);

impl Grant {
    /// Nickname, avatar and gender, through `wx.getUserProfile`.
    pub const NICKNAME_AND_AVATAR: Self = Self(6);
    /// The phone number.
    pub const PHONE: Self = Self(8);
    /// The nickname from `<input type="nickname">`.
    pub const CHOSEN_NICKNAME: Self = Self(19);
    /// The avatar from `chooseAvatar`.
    pub const CHOSEN_AVATAR: Self = Self(20);
}

/// The result of checking an image or audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaCheck {
    /// The id that `mediaCheckAsync` returned.
    pub trace_id: String,
    /// 0, unless the check failed.
    pub errcode: i64,
    /// `pass`, `review` or `risky`; `None` when the check failed.
    pub suggest: Option<String>,
    /// The category of the content, by WeChat's number.
    pub label: Option<i64>,
}

impl Push {
    /// Parses a message in either format.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(app_id: AppId, message: &str) -> Result<Self, ReadError> {
        let (format, fields) = Format::read(message)?;
        Self::new(app_id, format, fields)
    }

    /// A message with these fields.
    ///
    /// # Errors
    /// [`ReadError::NotUnderstood`].
    pub fn new(app_id: AppId, format: Format, fields: Fields) -> Result<Self, ReadError> {
        let event = Event::read(&fields)?;
        Ok(Self {
            app_id,
            format,
            event,
            fields,
        })
    }

    /// A field as text, also if it is a number: XML has text only.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        text(&self.fields, name)
    }

    /// The kind of message, by WeChat's name, for logs. Contains no content.
    #[must_use]
    pub fn kind(&self) -> String {
        let named = word(&self.fields, "Event")
            .or_else(|| word(&self.fields, "MsgType"))
            .unwrap_or_default();
        let is_word = |text: &str| {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if is_word(&named) {
            named
        } else {
            "unknown".to_owned()
        }
    }

    /// Identifies a message across its deliveries: SHA-256 as hexadecimal digits.
    ///
    /// A message is identified by its sender, time and `MsgId` together: two people's messages can
    /// have one id. Events have none, and WeChat's advice to use the sender and the second would
    /// confuse the revocations of two users, because their sender is WeChat itself. So an event is
    /// identified by all its fields, and so is a message without an id; their layout does not count.
    #[must_use]
    pub fn id(&self) -> String {
        let word = |name| word(&self.fields, name);
        let id = word("MsgId").filter(|id| word("Event").is_none() && id.contains(|c| c != '0'));
        let identity = match id {
            Some(id) => {
                serde_json::to_vec(&(&self.app_id, ["FromUserName", "CreateTime"].map(word), id))
            }
            None => serde_json::to_vec(&(&self.app_id, without_layout(&self.fields))),
        };
        hex::encode(Sha256::digest(identity.unwrap_or_default()))
    }
}

impl Event {
    /// Whether it demands to delete something.
    #[must_use]
    pub fn deletes(&self) -> bool {
        matches!(
            self,
            Self::AuthorizationRevoked { .. }
                | Self::UserInfoModified { .. }
                | Self::AuthorizationCancelled { .. }
        )
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("app_id", &self.app_id)
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthorizationRevoked { .. } => "AuthorizationRevoked",
            Self::UserInfoModified { .. } => "UserInfoModified",
            Self::AuthorizationCancelled { .. } => "AuthorizationCancelled",
            Self::MediaChecked(_) => "MediaChecked",
            Self::Text { .. } => "Text",
            Self::Image { .. } => "Image",
            Self::DebugDemo { .. } => "DebugDemo",
            Self::Unknown => "Unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn push(message: &str) -> Push {
        Push::read("wx1".parse().unwrap(), message).unwrap()
    }

    fn open_id(text: &str) -> OpenId {
        text.parse().unwrap()
    }

    /// As in WeChat's page "授权用户信息变更".
    const REVOKED: &str = "<xml>\n<ToUserName><![CDATA[gh_870882ca4b1]]></ToUserName>\n<FromUserName><![CDATA[owAqB1v0ahK_Xlc7GshIDdf2yf7E]]></FromUserName>\n<CreateTime>1626857200</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[user_authorization_revoke]]></Event>\n<OpenID><![CDATA[owAqB1nqaOYYWl0Ng484G2z5NIwU]]></OpenID>\n<AppID><![CDATA[wx13974bf780d3dc89]]></AppID>\n<RevokeInfo><![CDATA[8]]></RevokeInfo>\n</xml>";

    #[test]
    fn a_revocation_has_its_user_and_grants() {
        let expected = Event::AuthorizationRevoked {
            open_id: open_id("owAqB1nqaOYYWl0Ng484G2z5NIwU"),
            grants: vec![Grant::PHONE],
        };
        assert!(push(REVOKED).event == expected);
        let json = r#"{"MsgType":"Event","Event":"user_authorization_revoke"," OpenID":"owAqB1nqaOYYWl0Ng484G2z5NIwU","RevokeInfo":8}"#;
        assert!(push(json).event == expected);
    }

    #[test]
    fn blanks_around_kinds_ids_and_numbers_are_layout() {
        let expected = Event::AuthorizationRevoked {
            open_id: open_id("o2"),
            grants: vec![Grant::NICKNAME_AND_AVATAR],
        };
        for message in [
            "<xml>\n <MsgType>\n  <![CDATA[event]]>\n </MsgType>\n <Event>\n  <![CDATA[user_authorization_revoke]]>\n </Event>\n <OpenID>\n  <![CDATA[o2]]>\n </OpenID>\n <RevokeInfo>\n  <![CDATA[6]]>\n </RevokeInfo>\n</xml>",
            "<xml><MsgType> event </MsgType><Event>\tuser_authorization_revoke</Event><OpenID>o2\n</OpenID><RevokeInfo>\u{a0}6</RevokeInfo></xml>",
            r#"{"MsgType":"event ","Event":" user_authorization_revoke","OpenID":"o2 ","RevokeInfo":" 6"}"#,
            "{\"Event\":\"User_Authorization_Revoke\",\"OpenID\":\"o2\0\",\"RevokeInfo\":6,\"x\":\"\u{1b}\"}",
            "{\"MsgType\":\"\u{200e}event\",\"Event\":\"\u{200b}user_authorization_revoke\u{2060}\",\"OpenID\":\"\u{ad}o2\u{200d}\",\"RevokeInfo\":\"\u{200b}6\"}",
            "<xml><Event>\u{200b}<![CDATA[user_authorization_revoke]]></Event><OpenID>&#x2060;o2</OpenID><RevokeInfo><![CDATA[6\u{feff}]]></RevokeInfo></xml>",
        ] {
            assert!(push(message).event == expected, "{message:?}");
        }
        // What a person typed keeps its blanks.
        let text = push(
            "<xml><MsgType>text</MsgType><FromUserName> o1 </FromUserName><Content> hi\u{200b} </Content></xml>",
        );
        assert!(
            text.event
                == Event::Text {
                    open_id: open_id("o1"),
                    content: " hi\u{200b} ".into()
                }
        );
    }

    #[test]
    fn a_known_event_that_is_not_understood_is_an_error() {
        for (message, kind, field) in [
            (
                r#""Event":"user_info_modified""#,
                "user_info_modified",
                "OpenID",
            ),
            (
                r#""Event":"user_authorization_cancellation","OpenID":"a#b""#,
                "user_authorization_cancellation",
                "OpenID",
            ),
            (
                r#""Event":"user_authorization_cancellation","OpenID":["a"]"#,
                "user_authorization_cancellation",
                "OpenID",
            ),
            (
                r#""Event":"user_authorization_revoke","OpenID":"o2","RevokeInfo":"?""#,
                "user_authorization_revoke",
                "RevokeInfo",
            ),
            (
                r#""Event":"wxa_media_check""#,
                "wxa_media_check",
                "trace_id",
            ),
            (r#""Event":"debug_demo""#, "debug_demo", "debug_str"),
            (r#""Event":["user_info_modified"]"#, "event", "Event"),
            (r#""Event":{"a":"user_info_modified"}"#, "event", "Event"),
            (r#""Event":true"#, "event", "Event"),
            (r#""Event":null"#, "event", "Event"),
            (r#""Event":" ""#, "event", "Event"),
            (r#""x":1"#, "event", "Event"),
        ] {
            let message = format!(r#"{{"MsgType":"event",{message}}}"#);
            let read = Push::read("wx1".parse().unwrap(), &message);
            assert_eq!(
                read.err(),
                Some(ReadError::NotUnderstood { kind, field }),
                "{message}"
            );
        }
    }

    #[test]
    fn a_message_that_names_no_kind_is_an_error() {
        for message in [
            "{}",
            r#"{"MsgType":"","OpenID":"o2"}"#,
            r#"{"MsgType":["event"]}"#,
            r#"{"MsgType":null,"Event":null}"#,
            "<xml></xml>",
        ] {
            let read = Push::read("wx1".parse().unwrap(), message);
            let (kind, field) = ("message", "MsgType");
            assert_eq!(
                read.err(),
                Some(ReadError::NotUnderstood { kind, field }),
                "{message}"
            );
        }
        let hidden = r#"{"MsgType":"text","Event":["user_info_modified"]}"#;
        assert!(Push::read("wx1".parse().unwrap(), hidden).is_err());
    }

    #[test]
    fn a_known_event_is_one_whatever_its_message_type_says() {
        let expected = Event::UserInfoModified {
            open_id: open_id("o2"),
        };
        for kind in ["text", "image", "EVENT", "something_new", ""] {
            let message =
                format!(r#"{{"MsgType":"{kind}","Event":"user_info_modified","OpenID":"o2"}}"#);
            assert!(push(&message).event == expected, "{message}");
        }
        let incomplete = r#"{"MsgType":"text","Event":"user_info_modified"}"#;
        assert!(Push::read("wx1".parse().unwrap(), incomplete).is_err());
        let text = r#"{"MsgType":"text","Event":"e","FromUserName":"o1","Content":"hi"}"#;
        assert!(matches!(push(text).event, Event::Text { .. }));
    }

    #[test]
    fn names_of_fields_may_have_another_case() {
        let expected = Event::AuthorizationRevoked {
            open_id: open_id("o2"),
            grants: vec![Grant::PHONE],
        };
        for message in [
            r#"{"msgtype":"event","event":"user_authorization_revoke","openid":"o2","revokeinfo":8}"#,
            r#"{"EVENT":"user_authorization_revoke","OpenId":"o2","Revokeinfo":"8"}"#,
            "<xml><msgType>event</msgType><event>user_authorization_revoke</event><openId>o2</openId><revokeInfo>8</revokeInfo></xml>",
        ] {
            assert!(push(message).event == expected, "{message}");
        }
        // The exact name counts first.
        let both = r#"{"Event":"user_info_modified","OpenID":"o2","OPENID":"o3","openid":"o4"}"#;
        assert!(
            push(both).event
                == Event::UserInfoModified {
                    open_id: open_id("o2")
                }
        );
    }

    #[test]
    fn each_documented_kind_has_its_own_variant() {
        let event = |rest: &str| push(&format!(r#"{{"FromUserName":"o1",{rest}}}"#)).event;
        let named = |name: &str, rest: &str| {
            event(&format!(r#""MsgType":"event","Event":"{name}",{rest}"#))
        };
        let o2 = open_id("o2");
        assert!(
            named("user_info_modified", r#""OpenID":"o2""#)
                == Event::UserInfoModified {
                    open_id: o2.clone()
                }
        );
        let cancelled = named("user_authorization_cancellation", r#""OpenID":"o2""#);
        assert!(cancelled == Event::AuthorizationCancelled { open_id: o2 });
        assert!(
            named("debug_demo", r#""debug_str":"hi""#) == Event::DebugDemo { text: "hi".into() }
        );
        let text = event(r#""MsgType":"text","Content":"hi","MsgId":1"#);
        assert!(
            text == Event::Text {
                open_id: open_id("o1"),
                content: "hi".into()
            }
        );
        let image = event(r#""MsgType":"image","PicUrl":"http://p","MediaId":"m","MsgId":1"#);
        let expected = Event::Image {
            open_id: open_id("o1"),
            pic_url: "http://p".into(),
            media_id: "m".into(),
        };
        assert!(image == expected);
    }

    #[test]
    fn a_media_check_has_a_result_or_an_errcode() {
        let check = |rest: &str| match push(&format!(
            r#"{{"MsgType":"event","Event":"wxa_media_check","trace_id":"t1",{rest}}}"#
        ))
        .event
        {
            Event::MediaChecked(check) => check,
            other => panic!("{other:?}"),
        };
        let risky = check(r#""result":{"suggest":"risky","label":20001},"errcode":0"#);
        let expected = MediaCheck {
            trace_id: "t1".into(),
            errcode: 0,
            suggest: Some("risky".into()),
            label: Some(20001),
        };
        assert_eq!(risky, expected);
        let failed = check(r#""detail":[],"errcode":43104,"errmsg":"no permission""#);
        assert_eq!((failed.errcode, failed.suggest), (43104, None));
    }

    #[test]
    fn an_unknown_event_or_message_keeps_its_fields() {
        for message in [
            r#"{"MsgType":"text","FromUserName":"o1"}"#,
            r#"{"MsgType":"image","PicUrl":"p"}"#,
            r#"{"MsgType":"event","Event":"something_new","x":1}"#,
            r#"{"Event":"something_new"}"#,
            r#"{"MsgType":"something_new"}"#,
        ] {
            let push = push(message);
            assert!(push.event == Event::Unknown, "{message}");
            assert_eq!(
                Value::Object(push.fields),
                serde_json::from_str::<Value>(message).unwrap()
            );
        }
    }

    #[test]
    fn repeated_deliveries_have_the_same_id() {
        let id = |message: &str| push(message).id();
        let text = |content: &str, id: &str| {
            format!(
                r#"{{"FromUserName":"o1","CreateTime":1,"MsgType":"text","Content":"{content}","MsgId":{id}}}"#
            )
        };
        assert_eq!(id(&text("a", "1")), id(&text("a ", "1")));
        assert_ne!(id(&text("a", "1")), id(&text("a", "2")));
        assert_eq!(
            id(&text("a", "1")),
            id(
                "<xml><FromUserName>o1 </FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><MsgId>\n1</MsgId></xml>"
            )
        );
        let event = |user: &str| {
            format!(
                r#"{{"FromUserName":"o1","CreateTime":1,"MsgType":"event","Event":"e","OpenID":"{user}"}}"#
            )
        };
        assert_eq!(id(&event("o2")), id(&event("o2")));
        assert_ne!(
            id(&event("o2")),
            id(&event("o3")),
            "one second, one sender, two users"
        );
        let other_app = Push::read("wx2".parse().unwrap(), &event("o2")).unwrap();
        assert_ne!(id(&event("o2")), other_app.id());
    }

    #[test]
    fn another_layout_of_a_message_without_an_id_has_the_same_id() {
        let id = |message: &str| push(message).id();
        for [one, other] in [
            [
                r#"{"CreateTime":1,"Event":"e","OpenID":"o2","d":[{"x":"a"}]}"#,
                "{ \"CreateTime\" : \"1 \",\n\"Event\":\" e\",\" OpenID\":\"o2\u{200b}\",\"d\":[{\"x\":\"a\\n\"}] }",
            ],
            [
                "<xml><CreateTime>1</CreateTime><Event><![CDATA[e]]></Event><OpenID><![CDATA[o2]]></OpenID></xml>",
                "<xml>\n <CreateTime> 1</CreateTime>\n <Event>\n  <![CDATA[e]]>\n </Event>\n <OpenID>o2\n</OpenID>\n</xml>",
            ],
            [
                r#"{"FromUserName":"o1","CreateTime":1,"MsgType":"text","Content":"c","MsgId":0}"#,
                r#"{"FromUserName":"o1 ","CreateTime":1,"MsgType":" text","Content":"c","MsgId":"0"}"#,
            ],
        ] {
            assert_eq!(id(one), id(other), "{other}");
        }
        assert_ne!(
            id(r#"{"Event":"e","x":"a b"}"#),
            id(r#"{"Event":"e","x":"ab"}"#)
        );
    }

    #[test]
    fn messages_of_two_senders_or_times_with_one_id_are_distinct() {
        let id = |sender: &str, time: u32, id: &str| {
            let text = format!(
                r#"{{"FromUserName":"{sender}","CreateTime":{time},"MsgType":"text","Content":"c","MsgId":{id}}}"#
            );
            push(&text).id()
        };
        for number in ["4242", "0", "\"\"", "10000000000000000000000"] {
            let messages = [
                id("o1", 1, number),
                id("o2", 1, number),
                id("o1", 2, number),
            ];
            for (at, message) in messages.iter().enumerate() {
                assert!(!messages[..at].contains(message), "{number}");
            }
            assert_eq!(id("o1", 1, number), messages[0]);
        }
        assert_ne!(
            id("o1", 1, "10000000000000000000000"),
            id("o1", 1, "10000000000000000000001")
        );
        assert_eq!(id("o1", 1, "7"), id("o1", 1, "\" 7\""));
    }

    #[test]
    fn debug_and_kind_show_no_content() {
        let push = push(r#"{"FromUserName":"o1","MsgType":"text","Content":"my secret"}"#);
        let shown = format!("{push:?} {}", push.kind());
        assert!(
            shown.contains("Text") && !shown.contains("secret") && !shown.contains("o1"),
            "{shown}"
        );
        assert_eq!(
            super::tests::push(r#"{"MsgType":"event","Event":"a\nb"}"#).kind(),
            "unknown"
        );
    }
}
