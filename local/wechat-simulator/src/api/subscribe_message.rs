//! `POST /cgi-bin/message/subscribe/send`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::protocol::call::{ApiCall, ApiOutcome};
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::{ids, template_field};
use crate::state::State;
use crate::state::inboxes::{DeliveredMessage, MessageContent};
use crate::state::quotas::Quota;
use crate::time::SECOND;

#[derive(Deserialize)]
struct SubscribeRequest {
    #[serde(default)]
    touser: String,
    #[serde(default)]
    template_id: String,
    page: Option<String>,
    #[serde(default)]
    data: BTreeMap<String, FieldValue>,
    #[serde(default = "formal")]
    miniprogram_state: String,
    #[serde(default = "chinese")]
    lang: String,
}

#[derive(Deserialize)]
struct FieldValue {
    value: String,
}

fn formal() -> String {
    "formal".to_owned()
}

fn chinese() -> String {
    "zh_CN".to_owned()
}

pub(crate) fn send(state: &mut State, call: &ApiCall) -> ApiOutcome {
    call.require_post()?;
    let app_id = state.authorized_app(call)?;
    state.charge(&app_id, Quota::SubscribeMessages, call.now)?;
    let request: SubscribeRequest = call.json()?;
    state.require_user(&request.touser, &app_id)?;
    validate(state, &request, &app_id)?;
    if !state
        .subscriptions
        .take(&request.touser, &request.template_id)
    {
        return Err(errcode::USER_REFUSES);
    }
    deliver(state, request, call.now);
    let id = ids::request_id(&mut state.rng, call.now);
    Ok(json!({"errcode": 0, "errmsg": "ok", "msgid": id}))
}

fn validate(state: &State, request: &SubscribeRequest, app_id: &str) -> Result<(), ApiError> {
    if !ids::is_template_id(&request.template_id) {
        return Err(errcode::INVALID_TEMPLATE_ID);
    }
    let page = request.page.as_deref().filter(|page| !page.is_empty());
    if page.is_some_and(|page| page.starts_with('/') || !state.pages.has(app_id, page)) {
        return Err(errcode::INVALID_PAGE);
    }
    let mut fields = request.data.iter();
    if request.data.is_empty()
        || !fields.all(|(name, field)| template_field::is_valid(name, &field.value))
    {
        return Err(errcode::INVALID_TEMPLATE_DATA);
    }
    let known = ["developer", "trial", "formal"].contains(&&*request.miniprogram_state)
        && ["zh_CN", "en_US", "zh_HK", "zh_TW"].contains(&&*request.lang);
    if known {
        Ok(())
    } else {
        Err(errcode::INVALID_ARGS)
    }
}

fn deliver(state: &mut State, request: SubscribeRequest, now: u64) {
    let fields = request.data.into_iter();
    let content = MessageContent::Subscribe {
        template_id: request.template_id,
        page: request.page,
        data: fields.map(|(name, field)| (name, field.value)).collect(),
        miniprogram_state: request.miniprogram_state,
        lang: request.lang,
    };
    let message = DeliveredMessage {
        delivered_at: now / SECOND,
        content,
    };
    state.inboxes.deliver(&request.touser, message);
}
