//! The fields of a profile in a body, with their rules.

use super::{Checks, Rule};
use crate::{
    config::NicknameMin,
    users::{Gender, ProfileChange},
    values::{AvatarUrl, Edit, Nickname},
};

/// What a body says of the fields of a profile; their types are right, and no rule is checked yet.
#[derive(Default)]
pub struct RawProfile {
    /// The nickname.
    pub nickname: Edit<String>,
    /// The avatar's address.
    pub avatar_url: Edit<String>,
    /// WeChat's number for the gender.
    pub gender: Edit<u8>,
}

impl RawProfile {
    /// The change; a field that breaks its rule is a violation, and is kept.
    pub fn check(self, NicknameMin(min): NicknameMin, checks: &mut Checks) -> ProfileChange {
        let gender = |code| {
            [Gender::Unknown, Gender::Male, Gender::Female]
                .into_iter()
                .find(|gender| *gender as u8 == code)
        };
        let characters = usize::try_from(min).unwrap_or(usize::MAX);
        ProfileChange {
            nickname: checked(
                self.nickname.map(|text| Nickname::parse(&text, characters)),
                |name| checks.field_with_min("nickname", Rule::Nickname, min, name),
            ),
            avatar_url: checked(self.avatar_url.map(|text| AvatarUrl::parse(&text)), |url| {
                checks.field("avatarUrl", Rule::HttpsUrl, url)
            }),
            gender: checked(self.gender.map(gender), |gender| {
                checks.field("gender", Rule::Gender, gender)
            }),
        }
    }
}

/// The edit with a parsed value; `check` notes one that is not valid.
fn checked<T>(edit: Edit<Option<T>>, check: impl FnOnce(Option<T>) -> Option<T>) -> Edit<T> {
    match edit {
        Edit::Keep => Edit::Keep,
        Edit::Clear => Edit::Clear,
        Edit::Set(parsed) => check(parsed).map_or(Edit::Keep, Edit::Set),
    }
}
