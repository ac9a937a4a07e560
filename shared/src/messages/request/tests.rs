use serde_json::{Value, json};

use super::*;
use crate::config::Env;

const USER: &str = "0193c0de-0000-7000-8000-00000000abcd";

fn rules(templates: &str) -> MessageRules {
    let env = Env::new([("MESSAGE_TEMPLATES", templates)]);
    MessageRules {
        apps: vec!["wx1".parse().unwrap(), "wx2".parse().unwrap()],
        templates: MessageTemplates::read(&env),
    }
}

fn subscribe() -> Value {
    json!({
        "idempotencyKey": "order-1:paid", "userId": USER, "type": "subscribe",
        "templateId": "T1", "data": {"thing1": "x"},
    })
}

fn reply() -> Value {
    json!({
        "idempotencyKey": "reply-000001", "userId": USER, "type": "customer_service",
        "message": {"kind": "text", "content": "x"},
    })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field);
    body
}

fn check(body: Value, templates: &str) -> Result<MessageRequest, Vec<Violation>> {
    let raw: RawMessageRequest = serde_json::from_value(body).unwrap();
    raw.check(&rules(templates))
}

fn digest(body: Value) -> String {
    check(body, "").unwrap().digest()
}

#[test]
fn a_message_is_for_the_first_mini_program_unless_it_names_another_one() {
    let request = check(subscribe(), "").unwrap();
    assert_eq!(request.app_id.as_str(), "wx1");
    let other = check(with(reply(), "appId", json!("wx2")), "").unwrap();
    assert_eq!(other.app_id.as_str(), "wx2");
    let unknown = check(with(reply(), "appId", json!("wx3")), "");
    assert_eq!(unknown.unwrap_err(), [Violation::new("appId", Rule::AppId)]);
}

#[test]
fn every_broken_rule_is_named() {
    let broken = json!({
        "idempotencyKey": "short", "userId": "u", "appId": "wx9", "type": "subscribe",
        "templateId": "a#b", "page": "", "data": {"thing1": ""},
        "message": {"kind": "text", "content": "x"},
    });
    let wanted = [
        ("idempotencyKey", Rule::IdempotencyKey),
        ("userId", Rule::UserId),
        ("appId", Rule::AppId),
        ("message", Rule::Unknown),
        ("templateId", Rule::TemplateId),
        ("page", Rule::Page),
        ("data.thing1", Rule::TemplateField),
    ];
    let wanted = wanted.map(|(field, rule)| Violation::new(field, rule));
    assert_eq!(check(broken, "").unwrap_err(), wanted);
}

#[test]
fn each_type_has_its_own_fields() {
    for (body, field, rule) in [
        (
            without(subscribe(), "templateId"),
            "templateId",
            Rule::Required,
        ),
        (without(subscribe(), "data"), "data", Rule::Required),
        (without(reply(), "message"), "message", Rule::Required),
        (
            with(reply(), "templateId", json!("T1")),
            "templateId",
            Rule::Unknown,
        ),
        (with(reply(), "page", json!("p")), "page", Rule::Unknown),
        (with(reply(), "data", json!({})), "data", Rule::Unknown),
        (with(reply(), "lang", json!("zh_CN")), "lang", Rule::Unknown),
        (
            with(reply(), "miniprogramState", json!("trial")),
            "miniprogramState",
            Rule::Unknown,
        ),
        (
            with(reply(), "type", json!("sms")),
            "type",
            Rule::MessageType,
        ),
    ] {
        assert_eq!(check(body, "").unwrap_err(), [Violation::new(field, rule)]);
    }
}

#[test]
fn where_templates_are_configured_others_are_refused() {
    assert!(check(subscribe(), "T1").is_ok());
    let refused = [Violation::new("templateId", Rule::TemplateId)];
    assert_eq!(check(subscribe(), "T2").unwrap_err(), refused);
}

#[test]
fn what_is_left_out_is_the_same_as_its_default() {
    let whole = with(subscribe(), "lang", json!("zh_CN"));
    let whole = with(
        with(whole, "miniprogramState", json!("formal")),
        "appId",
        json!("wx1"),
    );
    assert_eq!(digest(whole), digest(subscribe()));
}

#[test]
fn each_part_of_a_message_tells_it_from_others() {
    let first = digest(subscribe());
    for (field, value) in [
        ("appId", json!("wx2")),
        ("templateId", json!("T2")),
        ("page", json!("p")),
        ("data", json!({"thing1": "y"})),
        ("data", json!({"thing2": "x"})),
        ("lang", json!("en_US")),
        ("miniprogramState", json!("trial")),
    ] {
        assert_ne!(digest(with(subscribe(), field, value)), first, "{field}");
    }
}
