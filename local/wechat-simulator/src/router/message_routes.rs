//! The control side of messages, codes and links: what users allow and receive, and WeChat's quotas.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{Query, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::subscription::{SubscriptionAnswer, check_template};
use crate::control_error::ControlError;
use crate::router::control_call::{ControlResponse, UserInApp, deliver, parse};
use crate::simulator::Simulator;
use crate::state::quotas::Quota;

/// The most templates that `wx.requestSubscribeMessage` asks for at once.
const MAX_TEMPLATES: usize = 5;

pub(super) fn router() -> Router<Simulator> {
    Router::new()
        .route("/subscriptions", post(subscribe).delete(unsubscribe))
        .route("/customer-service", post(customer_service))
        .route("/messages", get(messages))
        .route("/quotas", put(quotas))
        .route("/pages", put(pages))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    user: String,
    answers: BTreeMap<String, SubscriptionAnswer>,
    app_id: Option<String>,
}

/// Responds as `wx.requestSubscribeMessage` does.
async fn subscribe(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let Asked {
        user,
        answers,
        app_id,
    } = parse(&body)?;
    if !(1..=MAX_TEMPLATES).contains(&answers.len()) {
        return Err(ControlError::invalid("answers: for 1 to 5 templates"));
    }
    answers
        .keys()
        .try_for_each(|template| check_template(template))?;
    let mut result = json!({"errMsg": "requestSubscribeMessage:ok"});
    for (template, answer) in answers {
        simulator.subscribe(&user, &template, answer, app_id.as_deref())?;
        result[template] = json!(answer);
    }
    Ok(Json(result))
}

async fn unsubscribe(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let UserInApp { user, app_id } = parse(&body)?;
    simulator.unsubscribe(&user, app_id.as_deref())?;
    Ok(Json(json!({"user": user})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Contact {
    user: String,
    text: Option<String>,
    app_id: Option<String>,
}

async fn customer_service(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let Contact { user, text, app_id } = parse(&body)?;
    let push = simulator.customer_service(&user, text.as_deref(), app_id.as_deref())?;
    Ok(Json(match push {
        Some(push) => deliver(&simulator, push).await,
        None => json!({}),
    }))
}

async fn messages(
    State(simulator): State<Simulator>,
    Query(mut query): Query<HashMap<String, String>>,
) -> ControlResponse {
    let user = query.remove("user").unwrap_or_default();
    let app_id = query.remove("appId");
    let messages = simulator.messages(&user, app_id.as_deref())?;
    Ok(Json(json!({"messages": messages})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limits {
    quotas: HashMap<Quota, u32>,
    app_id: Option<String>,
}

async fn quotas(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let Limits { quotas, app_id } = parse(&body)?;
    for (quota, max) in quotas {
        simulator.set_quota(quota, max, app_id.as_deref())?;
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Published {
    pages: Vec<String>,
    app_id: Option<String>,
}

async fn pages(State(simulator): State<Simulator>, body: Bytes) -> ControlResponse {
    let Published { pages, app_id } = parse::<Published>(&body)?;
    simulator.set_pages(pages, app_id.as_deref())?;
    Ok(Json::<Value>(json!({})))
}
