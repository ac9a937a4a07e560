//! getPhoneNumber: exchanges a code of the phone number button for the number.
//!
//! Source:
//! developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-info/phone-number/getPhoneNumber.html

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{AuthorizedWeChat, WeChatError, client::Api, errcode};
use crate::{
    ids::{AppId, OpenId},
    values::{CountryCode, OneTimeCode, Phone},
};

const API: Api = Api {
    name: "getPhoneNumber",
    method: Method::POST,
    path: "/wxa/business/getuserphonenumber",
    // A code works once.
    idempotent: false,
    refusal: errcode::phone_number,
};

#[derive(Deserialize)]
struct PhoneNumberResponse {
    phone_info: PhoneInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneInfo {
    pure_phone_number: SecretString,
    country_code: CountryCode,
    watermark: Watermark,
}

#[derive(Deserialize)]
struct Watermark {
    appid: AppId,
}

impl AuthorizedWeChat {
    /// The number that the user shared. WeChat checks that the code was issued to `open_id`.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn phone_number(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        code: &OneTimeCode,
    ) -> Result<Phone, WeChatError> {
        let body = json!({"code": code.expose(), "openid": open_id});
        let response: PhoneNumberResponse = self
            .call((app_id, open_id), &API, || {
                self.wechat.request_with(&API, &body)
            })
            .await?;
        let info = response.phone_info;
        if info.watermark.appid != *app_id {
            return Err(WeChatError::Unreadable(
                "a phone number for another mini-program".into(),
            ));
        }
        Phone::parse(&info.country_code, info.pure_phone_number.expose_secret())
            .ok_or_else(|| WeChatError::Unreadable("a phone number of an unknown form".into()))
    }
}
