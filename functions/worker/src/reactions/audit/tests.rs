//! From records as the stream delivers them to entries of the trail.

use serde_json::{Value, json, value::RawValue};
use shared::{
    accounts::AccountDeletion,
    audit::{AuditEvent, AuditKind},
    changes::Record,
    ids::UserId,
};

use super::{deleted, events};

const USER: &str = "0193c0de-0000-7000-8000-00000000abcd";
const OTHER: &str = "0193c0de-0000-7000-8000-00000000dcba";
const SESSION: &str = "0193c0de-0000-7000-8000-000000000002";
const SAGA: &str = "000102030405060708090a0b0c0d0e0f";
const THEN: &str = "2026-11-23T01:02:03.004Z";
const NOW: &str = "2026-11-23T02:00:00Z";

/// The image with these members set, or removed where they are null.
fn with(mut image: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            image.as_object_mut().unwrap().remove(name);
        } else {
            image[name] = value.clone();
        }
    }
    image
}

fn profile(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": "PROFILE"}, "id": {"S": USER},
        "role": {"S": "user"}, "status": {"S": "active"}, "createdAt": {"S": THEN},
        "updatedAt": {"S": THEN}, "version": {"N": "1"},
    });
    with(image, changes)
}

fn session(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": format!("SESSION#{SESSION}")},
        "id": {"S": SESSION}, "user": {"S": USER}, "appId": {"S": "wx1"}, "counter": {"N": "0"},
        "createdAt": {"S": THEN}, "rotatedAt": {"S": THEN}, "userAgent": {"S": "phone"},
        "ttl": {"N": "1798012800"},
    });
    with(image, changes)
}

fn consent(changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("USER#{USER}")}, "sk": {"S": "CONSENT#privacy#0000003#0001"},
        "document": {"S": "privacy"}, "version": {"N": "3"}, "agreedAt": {"S": THEN},
        "appId": {"S": "wx1"},
    });
    with(image, changes)
}

fn saga(kind: &str, changes: &Value) -> Value {
    let image = json!({
        "pk": {"S": format!("SAGA#{SAGA}")}, "sk": {"S": "SAGA"}, "id": {"S": SAGA},
        "kind": {"S": kind}, "position": {"N": "11"}, "direction": {"S": "forward"},
        "createdAt": {"S": THEN}, "updatedAt": {"S": THEN},
    });
    with(image, changes)
}

fn record(old: Option<Value>, new: Option<Value>) -> Value {
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

fn change(record: &Value) -> shared::changes::Change {
    let raw = RawValue::from_string(record.to_string()).unwrap();
    Record::read(&raw).change.unwrap()
}

/// What a change says about the user.
fn said(old: Option<Value>, new: Option<Value>) -> Vec<AuditEvent> {
    let events = events(&change(&record(old, new)));
    let of_user = |(user, event): (UserId, AuditEvent)| {
        assert_eq!(user.to_string(), USER);
        event
    };
    events.into_iter().map(of_user).collect()
}

fn kinds(old: Option<Value>, new: Option<Value>) -> Vec<AuditKind> {
    said(old, new)
        .into_iter()
        .map(|event| event.event)
        .collect()
}

#[test]
fn a_session_begins_with_a_login() {
    let [login] = &said(None, Some(session(&json!({}))))[..] else {
        panic!("not one entry")
    };
    assert_eq!(
        (login.event, login.at.to_string().as_str()),
        (AuditKind::Login, THEN)
    );
    assert_eq!(login.session.unwrap().to_string(), SESSION);
    assert_eq!(login.user_agent.as_deref(), Some("phone"));
}

#[test]
fn a_session_ends_by_its_user_by_reuse_or_by_the_service() {
    for (by, kind) in [
        (Value::Null, AuditKind::Logout),
        (json!({"S": "reuse"}), AuditKind::RefreshReused),
        (json!({"S": "service"}), AuditKind::SessionEnded),
    ] {
        let ended = session(&json!({"revokedAt": {"S": NOW}, "endedBy": by}));
        let said = said(Some(session(&json!({}))), Some(ended.clone()));
        assert_eq!((said.len(), said[0].event), (1, kind));
        assert_eq!(said[0].at.to_string(), NOW);
        // Its row goes later.
        assert_eq!(kinds(Some(ended), None), []);
    }
}

#[test]
fn a_refresh_is_no_entry() {
    let refreshed = session(&json!({"counter": {"N": "1"}, "rotatedAt": {"S": NOW}}));
    assert_eq!(kinds(Some(session(&json!({}))), Some(refreshed)), []);
}

#[test]
fn a_living_session_that_is_deleted_was_removed_and_an_expired_one_was_not() {
    let living = session(&json!({}));
    assert_eq!(
        kinds(Some(living.clone()), None),
        [AuditKind::SessionRemoved]
    );
    let mut record = record(Some(living), None);
    record["userIdentity"] = json!({"principalId": "dynamodb.amazonaws.com"});
    assert!(events(&change(&record)).is_empty());
    let expired = session(&json!({"ttl": {"N": "1"}}));
    assert_eq!(kinds(Some(expired), None), []);
}

#[test]
fn a_role_and_a_status_say_who_changed_them() {
    let change = json!({
        "role": {"S": "admin"}, "status": {"S": "disabled"}, "changedBy": {"S": OTHER},
        "updatedAt": {"S": NOW}, "version": {"N": "2"},
    });
    let said = said(Some(profile(&json!({}))), Some(profile(&change)));
    let short = |event: &AuditEvent| {
        (
            event.event,
            event.from.clone().unwrap(),
            event.to.clone().unwrap(),
            event.by.unwrap().to_string(),
            event.at.to_string(),
        )
    };
    let said: Vec<_> = said.iter().map(short).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        said,
        [
            (
                AuditKind::RoleChanged,
                text("user"),
                text("admin"),
                text(OTHER),
                text(NOW)
            ),
            (
                AuditKind::StatusChanged,
                text("active"),
                text("disabled"),
                text(OTHER),
                text(NOW)
            ),
        ]
    );
}

#[test]
fn other_changes_of_a_profile_are_no_entries() {
    let changed = profile(&json!({
        "nickname": {"S": "x"}, "changedBy": {"S": OTHER}, "lastActiveOn": {"S": "2026-11-23"},
    }));
    assert_eq!(kinds(Some(profile(&json!({}))), Some(changed)), []);
    assert_eq!(kinds(None, Some(profile(&json!({})))), []);
}

#[test]
fn a_number_is_bound_and_removed_and_in_no_entry() {
    let [without, one, other] = [
        json!({}),
        json!({"phone": {"S": "13800138000"}}),
        json!({"phone": {"S": "13900139000"}}),
    ]
    .map(|changes| profile(&changes));
    for (old, new, kind) in [
        (&without, &one, AuditKind::PhoneBound),
        (&one, &other, AuditKind::PhoneBound),
        (&one, &without, AuditKind::PhoneRemoved),
    ] {
        let said = said(Some(old.clone()), Some(new.clone()));
        assert_eq!((said.len(), said[0].event), (1, kind));
        let text = serde_json::to_string(&said).unwrap();
        assert!(
            !text.contains("13800138000") && !text.contains("13900139000"),
            "{text}"
        );
    }
}

#[test]
fn a_deletion_is_requested_and_called_off_and_a_merge_bars_without_an_entry() {
    let deletion = AccountDeletion::id(USER.parse().unwrap()).to_string();
    let barred = |by: &str| {
        let by = (!by.is_empty()).then(|| json!({"S": by}));
        profile(&json!({
            "status": {"S": "barred"}, "barredBy": by, "phone": {"S": "13800138000"},
        }))
    };
    let active = profile(&json!({"phone": {"S": "13800138000"}}));
    for (by, begun, ended) in [
        (
            deletion.as_str(),
            vec![AuditKind::DeletionRequested],
            vec![AuditKind::DeletionCalledOff],
        ),
        (
            "",
            vec![AuditKind::DeletionRequested],
            vec![AuditKind::DeletionCalledOff],
        ),
        (SAGA, vec![], vec![]),
    ] {
        assert_eq!(kinds(Some(active.clone()), Some(barred(by))), begun, "{by}");
        assert_eq!(kinds(Some(barred(by)), Some(active.clone())), ended, "{by}");
    }
    // What the deletion clears is no news.
    let cleared = with(barred(&deletion), &json!({"phone": null}));
    assert_eq!(kinds(Some(barred(&deletion)), Some(cleared)), []);
}

#[test]
fn an_agreement_is_given_and_withdrawn() {
    let given = consent(&json!({}));
    let [entry] = &said(None, Some(given.clone()))[..] else {
        panic!("not one entry")
    };
    assert_eq!(
        (entry.event, entry.version),
        (AuditKind::ConsentGiven, Some(3))
    );
    assert_eq!(entry.document.as_ref().unwrap().as_str(), "privacy");
    let withdrawn = consent(&json!({"withdrawnAt": {"S": NOW}, "withdrawnAppId": {"S": "wx1"}}));
    let kinds = kinds(Some(given), Some(withdrawn));
    assert_eq!(kinds, [AuditKind::ConsentWithdrawn]);
}

#[test]
fn a_merge_that_is_done_is_an_entry_of_the_survivor() {
    let subject = json!({"M": {"saga": {"S": SAGA}, "from": {"S": OTHER}, "into": {"S": USER}}});
    let running = saga("account-merge", &json!({"subject": subject}));
    for (outcome, wanted) in [("done", vec![AuditKind::AccountMerged]), ("undone", vec![])] {
        let ended = saga(
            "account-merge",
            &json!({"outcome": {"S": outcome}, "updatedAt": {"S": NOW}}),
        );
        assert_eq!(kinds(Some(running.clone()), Some(ended)), wanted);
    }
}

#[test]
fn a_deletion_that_is_done_names_the_user_once_more_for_the_log() {
    let subject = json!({"M": {"user": {"S": USER}}});
    let running = saga("account-deletion", &json!({"subject": subject}));
    let ended = saga("account-deletion", &json!({"outcome": {"S": "done"}}));
    let change = change(&record(Some(running), Some(ended)));
    assert_eq!(deleted(&change).unwrap().to_string(), USER);
    assert!(events(&change).is_empty());
}
