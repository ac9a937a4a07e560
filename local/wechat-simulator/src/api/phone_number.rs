//! `POST /wxa/business/getuserphonenumber`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::ids;
use crate::state::State;
use crate::state::users::{AppUser, User};

#[derive(Deserialize)]
struct PhoneNumberRequest {
    #[serde(default)]
    code: String,
    openid: Option<String>,
}

pub(crate) fn phone_number(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    let request: PhoneNumberRequest = call.json()?;
    let owner = owner_of(state, &request, &app_id, call.now)?;
    state.phone_codes.mark_used(&request.code);
    let user = state.users.find(&owner.user);
    let info = phone_info(&user, &owner, call.now);
    Ok(json!({"errcode": 0, "errmsg": "ok", "phone_info": info}))
}

/// Login codes are not phone codes. A code that is rejected because of its openid is not used up.
fn owner_of(
    state: &State,
    request: &PhoneNumberRequest,
    app_id: &str,
    now: u64,
) -> Result<AppUser, ApiError> {
    let code = state
        .phone_codes
        .find(&request.code)
        .ok_or_else(|| ApiError::unknown_code(&request.code))?;
    if code.owner.app_id != app_id {
        return Err(errcode::INVALID_APPID);
    }
    let open_id = request
        .openid
        .as_deref()
        .filter(|open_id| !open_id.is_empty());
    let belongs = open_id.is_none_or(|open_id| open_id == code.owner.open_id());
    if code.used || code.has_expired(now) || !belongs {
        return Err(errcode::INVALID_CODE);
    }
    Ok(code.owner.clone())
}

/// `phone_info` of getPhoneNumber, and the plaintext of encrypted phone data.
pub(crate) fn phone_info(user: &User, owner: &AppUser, now: u64) -> Value {
    let number = user
        .phone
        .clone()
        .unwrap_or_else(|| ids::phone_number(&owner.user));
    let code = user.country_code.unwrap_or(86);
    let country = if user.numeric_country_code {
        json!(code)
    } else {
        json!(code.to_string())
    };
    // Only numbers from abroad have their country code as a prefix.
    let full_number = if code == 86 {
        number.clone()
    } else {
        format!("+{code}{number}")
    };
    json!({
        "phoneNumber": full_number,
        "purePhoneNumber": number,
        "countryCode": country,
        "watermark": owner.watermark(now),
    })
}
