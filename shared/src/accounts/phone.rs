//! Binding the phone number that a person shared with the phone number button.

mod codes;

pub use codes::PhoneCodes;

use crate::{
    ids::{AppId, OpenId, UserId},
    users::{BindError, PhoneNumbers, User},
    values::{OneTimeCode, Phone},
    wechat::WeChatError,
};

/// Binds numbers. Keep one per instance.
pub struct PhoneBinding {
    codes: PhoneCodes,
    numbers: PhoneNumbers,
}

impl PhoneBinding {
    /// Exchanges codes by `codes`, and binds `numbers`.
    #[must_use]
    pub fn new(codes: PhoneCodes, numbers: PhoneNumbers) -> Self {
        Self { codes, numbers }
    }

    /// The number behind the code, which WeChat issued to this person. Can be repeated: WeChat is
    /// asked once.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn number(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        code: &OneTimeCode,
    ) -> Result<Phone, WeChatError> {
        self.codes.number(app_id, open_id, code).await
    }

    /// Gives the number to the user, in place of the one they have. Can be repeated.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(&self, user: UserId, phone: &Phone) -> Result<User, BindError> {
        self.numbers.bind(user, phone).await
    }
}
