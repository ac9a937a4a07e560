//! Which nicknames are accepted.

use crate::{
    config::{Env, Number},
    settings,
};

settings! {
    /// The settings of nicknames.
    pub DOCUMENTED in WeChat;

    NICKNAME_MIN_CHARACTERS: Number = Number::new(2, 1..=32),
        "the least characters of a nickname; names of one character exist in WeChat",
        "昵称的最少字符数；微信中存在单字昵称";
}

/// `NICKNAME_MIN_CHARACTERS`: the least characters of a nickname.
#[derive(Clone, Copy)]
pub struct NicknameMin(pub u32);

impl NicknameMin {
    /// Reads the setting; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self(NICKNAME_MIN_CHARACTERS.read(env))
    }
}
