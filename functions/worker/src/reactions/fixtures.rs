//! Rows and changes for the tests of reactions, as the stream has them.

use serde_json::{Value, json, value::RawValue};
use shared::changes::{Change, Record};

pub(super) const USER: &str = "0193c0de-0000-7000-8000-00000000abcd";
pub(super) const OTHER: &str = "0193c0de-0000-7000-8000-00000000dcba";
pub(super) const SESSION: &str = "0193c0de-0000-7000-8000-000000000002";
pub(super) const SAGA: &str = "000102030405060708090a0b0c0d0e0f";
pub(super) const THEN: &str = "2026-11-23T01:02:03.004Z";
pub(super) const NOW: &str = "2026-11-23T02:00:00Z";

/// The image with these members set, or removed where they are null.
pub(super) fn with(mut image: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            image.as_object_mut().unwrap().remove(name);
        } else {
            image[name] = value.clone();
        }
    }
    image
}

pub(super) fn profile(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": "PROFILE"}, "id": {"S": USER},
        "role": {"S": "user"}, "status": {"S": "active"}, "createdAt": {"S": THEN},
        "updatedAt": {"S": THEN}, "version": {"N": "1"},
    });
    with(image, changes)
}

pub(super) fn session(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": format!("SESSION#{SESSION}")},
        "id": {"S": SESSION}, "user": {"S": USER}, "appId": {"S": "wx1"}, "counter": {"N": "0"},
        "createdAt": {"S": THEN}, "rotatedAt": {"S": THEN}, "userAgent": {"S": "phone"},
        "ttl": {"N": "1798012800"},
    });
    with(image, changes)
}

pub(super) fn consent(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": "CONSENT#privacy#0000003#0001"},
        "document": {"S": "privacy"}, "version": {"N": "3"}, "agreedAt": {"S": THEN},
        "appId": {"S": "wx1"},
    });
    with(image, changes)
}

pub(super) fn saga(kind: &str, changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("SAGA#{SAGA}")}, "sk": {"S": "SAGA"}, "id": {"S": SAGA},
        "kind": {"S": kind}, "position": {"N": "11"}, "direction": {"S": "forward"},
        "createdAt": {"S": THEN}, "updatedAt": {"S": THEN},
    });
    with(image, changes)
}

pub(super) fn record(old: Option<Value>, new: Option<Value>) -> Value {
    let image = new.as_ref().or(old.as_ref()).unwrap();
    let keys = json!({"pk": image["pk"], "sk": image["sk"]});
    let seconds = NOW.parse::<jiff::Timestamp>().unwrap().as_second();
    let mut row = json!({
        "Keys": keys, "SequenceNumber": "1", "ApproximateCreationDateTime": seconds,
    });
    if let Some(old) = old {
        row["OldImage"] = old;
    }
    if let Some(new) = new {
        row["NewImage"] = new;
    }
    json!({"eventID": "e1", "dynamodb": row})
}

pub(super) fn change(record: &Value) -> Change {
    let raw = RawValue::from_string(record.to_string()).unwrap();
    Record::read(&raw).change.unwrap()
}

/// The change of a row.
pub(super) fn changed(old: Option<Value>, new: Option<Value>) -> Change {
    change(&record(old, new))
}
