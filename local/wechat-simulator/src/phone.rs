//! `POST /wxa/business/getuserphonenumber`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::codes::Owner;
use crate::endpoint::{Call, Outcome};
use crate::errcode::{self, Refusal};
use crate::ids;
use crate::limits::SECOND;
use crate::users::User;
use crate::world::World;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    code: String,
    openid: Option<String>,
}

pub(crate) fn phone_number(world: &mut World, call: &Call) -> Outcome {
    call.require_post()?;
    let app_id = call.app_id(world)?;
    let request: Request = call.json()?;
    let owner = owner_of(world, &request, &app_id, call.now)?;
    world.phone_codes.spend(&request.code);
    let user = world.users.find(&owner.user);
    let info = phone_info(&user, &owner, call.now);
    Ok(json!({"errcode": 0, "errmsg": "ok", "phone_info": info}))
}

/// A code of wx.login is none of these. One that the openid doesn't belong to is refused and not
/// used up.
fn owner_of(world: &World, request: &Request, app_id: &str, now: u64) -> Result<Owner, Refusal> {
    let code = world
        .phone_codes
        .find(&request.code)
        .ok_or(errcode::INVALID_CODE)?;
    if code.owner.app_id != app_id {
        return Err(errcode::INVALID_APPID);
    }
    let open_id = request
        .openid
        .as_deref()
        .filter(|open_id| !open_id.is_empty());
    let belongs = open_id.is_none_or(|open_id| open_id == ids::open_id(app_id, &code.owner.user));
    if code.used || code.has_expired(now) || !belongs {
        return Err(errcode::INVALID_CODE);
    }
    Ok(code.owner.clone())
}

/// What getPhoneNumber answers and what phone data holds when it is decrypted.
pub(crate) fn phone_info(user: &User, owner: &Owner, now: u64) -> Value {
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
    // Only a number from abroad has its country in front.
    let whole = if code == 86 {
        number.clone()
    } else {
        format!("+{code}{number}")
    };
    json!({
        "phoneNumber": whole,
        "purePhoneNumber": number,
        "countryCode": country,
        "watermark": {"timestamp": now / SECOND, "appid": owner.app_id},
    })
}
