//! The row of an upload.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    dynamo::{self, Item},
    ids::{AppId, UserId},
    random::Random,
    users::rows::{UPLOAD, user_pk},
    values::ImageType,
};

/// How the keys of uploads begin.
const UPLOADS: &str = "uploads/";

/// The id of an upload: 32 random hexadecimal digits. It tells nothing of its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

/// A text that is no key of an upload.
#[derive(Debug, Error)]
#[error("not the key of an upload")]
pub struct NotAnUpload;

impl UploadId {
    /// How the keys of uploads begin.
    pub const KEY_PREFIX: &str = UPLOADS;

    pub(super) fn random(random: &Random) -> Self {
        Self(hex::encode(random.bytes::<16>()))
    }

    /// The id in the key of an upload.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        key.strip_prefix(UPLOADS)?.parse().ok()
    }

    /// The key that the picture is uploaded to.
    #[must_use]
    pub fn upload_key(&self) -> String {
        format!("{UPLOADS}{self}")
    }
}

impl FromStr for UploadId {
    type Err = NotAnUpload;

    fn from_str(text: &str) -> Result<Self, NotAnUpload> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let valid = text.len() == 32 && text.bytes().all(is_digit);
        valid.then(|| Self(text.to_owned())).ok_or(NotAnUpload)
    }
}

impl TryFrom<String> for UploadId {
    type Error = NotAnUpload;

    fn try_from(text: String) -> Result<Self, NotAnUpload> {
        text.parse()
    }
}

impl From<UploadId> for String {
    fn from(id: UploadId) -> Self {
        id.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The form was given out.
    Open,
    /// WeChat is checking the picture.
    Checking,
    /// WeChat advises against it.
    Refused,
    /// WeChat could not read the picture.
    Unreadable,
    /// It is being copied to where it is read.
    Publishing,
    /// It is, or was, the user's avatar.
    Published,
    /// Its objects are being deleted.
    Removing,
}

impl Phase {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Checking => "checking",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::Removing => "removing",
        }
    }
}

/// An upload, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The mini-program that it was made in.
    pub app_id: AppId,
    content_type: String,
    /// The size that the form was for, in bytes.
    pub max_bytes: u32,
    /// How far it has come.
    pub phase: Phase,
    created_at: Timestamp,
    /// Of the picture that was confirmed.
    #[serde(default)]
    pub(super) etag: Option<String>,
    /// The key of the copy that WeChat checks.
    #[serde(default)]
    pub(super) staged: Option<String>,
    /// The partition key of the row that WeChat's verdict leads to.
    #[serde(default)]
    pub(super) trace: Option<String>,
    /// When WeChat was asked.
    #[serde(default)]
    pub(super) asked_at: Option<Timestamp>,
    /// Until then a process is working on it.
    #[serde(default)]
    pub(super) busy_until: Option<Timestamp>,
    #[serde(default, skip_serializing)]
    ttl: Option<i64>,
}

impl Upload {
    pub(super) fn new(
        id: &UploadId,
        app_id: &AppId,
        kind: ImageType,
        max_bytes: u32,
        now: Timestamp,
    ) -> Self {
        Self {
            id: id.clone(),
            app_id: app_id.clone(),
            content_type: kind.content_type().to_owned(),
            max_bytes,
            phase: Phase::Open,
            created_at: now,
            etag: None,
            staged: None,
            trace: None,
            asked_at: None,
            busy_until: None,
            ttl: None,
        }
    }

    /// The kind of picture that was told; none for one that this version of the code does not know.
    #[must_use]
    pub fn kind(&self) -> Option<ImageType> {
        ImageType::of_content_type(&self.content_type)
    }

    /// Whether WeChat was asked and may still answer.
    #[must_use]
    pub fn awaits_verdict(&self, now: Timestamp, timeout: Duration) -> bool {
        let asked = self.asked_at.and_then(|at| at.checked_add(timeout).ok());
        self.phase == Phase::Checking && (self.is_busy(now) || asked.is_some_and(|end| now < end))
    }

    /// Whether WeChat was asked.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.asked_at.is_some() && self.staged.is_some()
    }

    /// Whether it was confirmed before `other`; one of which WeChat was not asked yet is the newer one.
    pub(super) fn was_confirmed_before(&self, other: &Self) -> bool {
        let is_older = match (self.asked_at, other.asked_at) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(this), Some(other)) => this < other,
        };
        self.id != other.id && is_older
    }

    /// DynamoDB deletes expired rows late.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.ttl.is_some_and(|ttl| ttl <= now.as_second())
    }

    /// Whether a process is working on it.
    pub(super) fn is_busy(&self, now: Timestamp) -> bool {
        self.busy_until.is_some_and(|until| now < until)
    }

    /// Whether a process is making the object that is read, or may be about to: also of one that has
    /// been taken from it since.
    pub(super) fn is_being_published(&self, now: Timestamp) -> bool {
        self.may_be_public() && self.is_busy(now)
    }

    /// When its row expires, in seconds since the epoch.
    pub(super) fn expires_at(&self) -> Option<i64> {
        self.ttl
    }

    /// Whether an object can exist where pictures are read.
    pub(super) fn may_be_public(&self) -> bool {
        match self.phase {
            Phase::Publishing | Phase::Published => true,
            // It had a `ttl` before.
            Phase::Removing => self.ttl.is_none(),
            Phase::Open | Phase::Checking | Phase::Refused | Phase::Unreadable => false,
        }
    }

    /// The key under which it is read.
    pub(super) fn public_key(&self) -> String {
        let extension = self.kind().map_or("bin", ImageType::extension);
        format!("avatars/{}.{extension}", self.id)
    }

    /// Whether this is its address, below whatever `AVATAR_BASE_URL` was when it was published.
    pub(super) fn is_at(&self, url: Option<&str>) -> bool {
        url.is_some_and(|url| url.ends_with(&format!("/{}", self.public_key())))
    }

    /// The key of its row.
    pub(super) fn row_key(&self, user: UserId) -> Item {
        dynamo::key(&user_pk(user), &upload_sk(&self.id))
    }

    /// Its content type, as it was told.
    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }
}

/// Which of the uploads that WeChat is checking are given up: the user has chosen something else since.
#[derive(Clone, Copy)]
pub enum Cancelled<'a> {
    /// None: the avatar is the same as before.
    Nothing,
    /// All of them.
    All,
    /// Those that were confirmed before this one.
    Before(&'a Upload),
}

impl Cancelled<'_> {
    pub(super) fn includes(self, upload: &Upload) -> bool {
        let is_older = match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Before(newer) => upload.was_confirmed_before(newer),
        };
        is_older && upload.phase == Phase::Checking
    }

    /// Whether this is the upload that cancels others.
    pub(super) fn is_for(self, upload: &Upload) -> bool {
        matches!(self, Self::Before(newer) if newer.id == upload.id)
    }
}

/// The sort key of an upload's row.
pub(super) fn upload_sk(id: &UploadId) -> String {
    format!("{}{id}", UPLOAD.sk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(phase: Phase) -> Upload {
        let id = "00112233445566778899aabbccddeeff".parse().unwrap();
        let app_id = "wx1".parse().unwrap();
        Upload {
            phase,
            ..Upload::new(&id, &app_id, ImageType::Png, 10, Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_key_is_exactly_that_of_an_upload() {
        let id: UploadId = "00112233445566778899aabbccddeeff".parse().unwrap();
        assert_eq!(UploadId::of_key(&id.upload_key()), Some(id.clone()));
        for wrong in [
            "00112233445566778899aabbccddeeff",
            "avatars/00112233445566778899aabbccddeeff",
            "uploads/00112233445566778899AABBCCDDEEFF",
            "uploads/../avatars/445566778899aabbccddeeff",
            "uploads/00112233445566778899aabbccddeeff/",
            "uploads/00112233445566778899aabbccddeeff0",
            "",
        ] {
            assert_eq!(UploadId::of_key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_words_of_phases_are_those_that_are_stored() {
        for phase in [
            Phase::Open,
            Phase::Checking,
            Phase::Refused,
            Phase::Unreadable,
            Phase::Publishing,
            Phase::Published,
            Phase::Removing,
        ] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }

    #[test]
    fn a_picture_is_shown_by_its_own_address_only() {
        let upload = upload(Phase::Published);
        let key = "avatars/00112233445566778899aabbccddeeff.png";
        assert_eq!(upload.public_key(), key);
        assert!(upload.is_at(Some(&format!("https://old.example/x/{key}"))));
        assert!(!upload.is_at(Some(
            "https://a.cn/avatars/ff112233445566778899aabbccddeeff.png"
        )));
        assert!(!upload.is_at(None));
    }

    #[test]
    fn only_what_was_confirmed_may_be_public() {
        for (phase, public) in [
            (Phase::Open, false),
            (Phase::Checking, false),
            (Phase::Refused, false),
            (Phase::Unreadable, false),
            (Phase::Publishing, true),
            (Phase::Published, true),
            (Phase::Removing, true),
        ] {
            assert_eq!(upload(phase).may_be_public(), public, "{phase:?}");
        }
        let never_confirmed = Upload {
            ttl: Some(1),
            ..upload(Phase::Removing)
        };
        assert!(!never_confirmed.may_be_public());
    }

    #[test]
    fn the_newer_upload_is_the_one_that_was_asked_about_later_or_not_yet() {
        let at = |second| Timestamp::from_second(second).ok();
        let first = Upload {
            asked_at: at(100),
            ..upload(Phase::Checking)
        };
        let second = Upload {
            id: "ff112233445566778899aabbccddeeff".parse().unwrap(),
            asked_at: at(101),
            ..upload(Phase::Checking)
        };
        let not_yet = Upload {
            asked_at: None,
            ..second.clone()
        };
        assert!(first.was_confirmed_before(&second));
        assert!(first.was_confirmed_before(&not_yet));
        assert!(!second.was_confirmed_before(&first));
        assert!(!not_yet.was_confirmed_before(&first));
        assert!(!first.was_confirmed_before(&first));
    }

    #[test]
    fn a_verdict_is_waited_for_while_it_may_come() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let checking = Upload {
            asked_at: Some(at(100)),
            ..upload(Phase::Checking)
        };
        let timeout = Duration::from_mins(1);
        assert!(checking.awaits_verdict(at(159), timeout));
        assert!(!checking.awaits_verdict(at(160), timeout));
        let being_asked = Upload {
            busy_until: Some(at(115)),
            ..upload(Phase::Checking)
        };
        assert!(being_asked.awaits_verdict(at(114), timeout));
        assert!(!being_asked.awaits_verdict(at(115), timeout));
        assert!(!upload(Phase::Open).awaits_verdict(at(0), timeout));
    }
}
