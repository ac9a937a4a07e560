//! From records as the stream delivers them to entries of the trail.

use serde_json::{Value, json};
use shared::{
    accounts::AccountDeletion,
    audit::{AuditEvent, AuditKind},
    ids::UserId,
};

use super::{
    super::fixtures::{
        NOW, OTHER, SAGA, SESSION, THEN, USER, change, consent, profile, record, saga, session,
        with,
    },
    deleted, events,
};

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
fn a_session_ends_by_its_user_by_reuse_by_the_service_or_by_an_administrator() {
    for (by, kind) in [
        (json!({"S": "user"}), AuditKind::Logout),
        (json!({"S": "reuse"}), AuditKind::RefreshReused),
        (json!({"S": "service"}), AuditKind::SessionEnded),
        (json!({"S": "administrator"}), AuditKind::SessionEnded),
        // Of earlier versions, and of later ones.
        (json!({"NULL": true}), AuditKind::SessionEnded),
        (json!({"S": "robot"}), AuditKind::SessionEnded),
    ] {
        let is_administrator = by["S"] == "administrator";
        let mut ended = json!({"revokedAt": {"S": NOW}, "endedBy": by});
        if is_administrator {
            ended["endedById"] = json!({"S": OTHER});
        }
        let ended = session(&ended);
        let said = said(Some(session(&json!({}))), Some(ended.clone()));
        assert_eq!((said.len(), said[0].event), (1, kind));
        assert_eq!(said[0].at.to_string(), NOW);
        let by = said[0].by.map(|id| id.to_string());
        assert_eq!(by.as_deref(), is_administrator.then_some(OTHER));
        // Its row goes later.
        assert_eq!(kinds(Some(ended), None), []);
    }
}

#[test]
fn a_refresh_causes_no_entry() {
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
