//! Tells receivers of webhooks what changed (`docs/webhooks.md`).

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use shared::{
    accounts::{AccountDeletion, MERGE},
    auth::Session,
    changes::{Change, Images, Reaction, ReactionError, Row, SagaImage, UserImage},
    instance::Instance,
    saga::Outcome,
    users::{Status, User},
    webhooks::{Event, Outbox, OutboxError},
};

/// Puts events into the queue of webhooks, if there is one.
pub struct Announcement {
    outbox: Outbox,
}

impl Announcement {
    pub fn new(instance: &Instance) -> Self {
        Self {
            outbox: instance.webhook_outbox(),
        }
    }

    /// Where the queue can't be used, the event goes into the table: the stream does not wait for the
    /// queue.
    async fn announce(&self, change: &Change) -> Result<(), ReactionError> {
        if !self.outbox.is_on() {
            return Ok(());
        }
        let Some(event) = event_of(change) else {
            return Ok(());
        };
        match self.outbox.announce(vec![event]).await {
            Err(OutboxError::Table(error)) => Err(error.into()),
            Err(error) => Err(ReactionError::Unavailable(error.to_string())),
            Ok(()) => Ok(()),
        }
    }
}

impl Reaction for Announcement {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn react<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<(), ReactionError>> {
        self.announce(change).boxed()
    }
}

/// A type, and the data. No telephone number, no openid, no token: receivers ask the API for what they
/// need to know.
type Told = Option<(&'static str, Value)>;

/// The event of a change; none, if nobody is told of it.
fn event_of(change: &Change) -> Option<Event> {
    let told = match &change.row {
        Row::User { images, .. } => of_user(images),
        Row::Session { images, .. } => of_session(images, change.has_expired),
        Row::Saga { images, .. } => of_merge(images),
        _ => None,
    };
    let (kind, data) = told?;
    Some(Event::new(kind, &[&change.id], change.at, &data))
}

fn of_user(images: &Images<UserImage>) -> Told {
    match (&images.old, &images.new) {
        (None, Some(UserImage { user, .. })) => {
            let data = json!({
                "userId": user.id, "role": user.role, "status": user.status, "version": user.version,
            });
            Some(("user.created", data))
        }
        // Of an account that was merged into another one, the end of the merge tells.
        (Some(old), None) if is_merging(old) => None,
        (Some(old), None) => Some(("user.deleted", json!({"userId": old.user.id}))),
        (Some(old), Some(UserImage { user, .. })) => {
            let changed = changed(&old.user, user);
            let data = json!({
                "userId": user.id, "changed": changed,
                "role": user.role, "status": user.status, "version": user.version,
            });
            (!changed.is_empty()).then_some(("user.updated", data))
        }
        (None, None) => None,
    }
}

/// Whether a merge bars the account.
fn is_merging(image: &UserImage) -> bool {
    let deletion = AccountDeletion::id(image.user.id);
    let barred_by = image.hidden.barred_by.as_ref();
    image.user.status == Status::Barred && barred_by.is_some_and(|saga| *saga != deletion)
}

/// The names of the fields that differ. That an account is barred, or no longer, is a part of its
/// deletion or merge.
fn changed(old: &User, new: &User) -> Vec<&'static str> {
    let is_barred = [old, new].iter().any(|user| user.status == Status::Barred);
    let fields = [
        ("avatarUrl", old.avatar_url != new.avatar_url),
        ("consents", old.consents != new.consents),
        ("gender", old.gender != new.gender),
        ("nickname", old.nickname != new.nickname),
        ("phone", old.phone != new.phone),
        ("role", old.role != new.role),
        ("status", old.status != new.status && !is_barred),
    ];
    let changed = fields.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(name, _)| name).collect()
}

/// Sessions end by being marked, or by being deleted; one that expires is not revoked.
fn of_session(images: &Images<Session>, has_expired: bool) -> Told {
    let old = images.old.as_ref().filter(|old| old.revoked_at.is_none())?;
    let is_revoked = match &images.new {
        Some(new) => new.revoked_at.is_some(),
        None => !has_expired,
    };
    let data = json!({"sessionId": old.id, "userId": old.user, "appId": old.app_id.as_str()});
    is_revoked.then_some(("session.revoked", data))
}

/// A merge has ended; its row has said until now which accounts it was about.
fn of_merge(images: &Images<SagaImage>) -> Told {
    let (old, new) = (images.old.as_ref()?, images.new.as_ref()?);
    let ends = new.entry.kind == MERGE
        && old.entry.outcome.is_none()
        && new.entry.outcome == Some(Outcome::Done);
    let pair = old.hidden.subject.as_ref().filter(|_| ends)?;
    let data = json!({"userId": pair.into?, "mergedUserId": pair.from?});
    Some(("user.merged", data))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use shared::changes::Record;

    use super::*;

    const UID: &str = "0193c0de-0000-7000-8000-00000000abcd";
    const OTHER: &str = "0193c0de-0000-7000-8000-00000000abce";
    const SID: &str = "0193c0de-0000-7000-8000-000000000002";
    const SAGA: &str = "00112233445566778899aabbccddeeff";
    const AT: &str = "2026-11-26T01:02:03Z";

    /// JSON as the stream has it.
    fn typed(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!({"N": number.to_string()}),
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| (name.clone(), typed(value)));
                json!({"M": Value::Object(members.collect())})
            }
            Value::Bool(value) => json!({"BOOL": value}),
            text => json!({"S": text}),
        }
    }

    /// A row with some attributes set otherwise.
    fn row(mut base: Value, changes: &Value) -> Value {
        base.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        base
    }

    fn user(changes: &Value) -> Value {
        let base = json!({
            "pk": format!("USER#{UID}"), "sk": "PROFILE", "id": UID, "role": "user",
            "status": "active", "version": 1, "createdAt": AT, "updatedAt": AT, "phone": "13800138000",
        });
        row(base, changes)
    }

    fn session(changes: &Value) -> Value {
        let base = json!({
            "pk": format!("USER#{UID}"), "sk": format!("SESSION#{SID}"), "id": SID, "user": UID,
            "appId": "wx1", "openId": "oSecret", "counter": 0, "createdAt": AT, "rotatedAt": AT,
            "ttl": 2_000_000_000,
        });
        row(base, changes)
    }

    fn saga(changes: &Value) -> Value {
        let base = json!({
            "pk": format!("SAGA#{SAGA}"), "sk": "SAGA", "id": SAGA, "kind": "account-merge",
            "position": 3, "direction": "forward", "createdAt": AT, "updatedAt": AT,
        });
        row(base, changes)
    }

    /// The change, as the stream delivers it.
    fn change(old: Option<&Value>, new: Option<&Value>) -> Change {
        let keys = new.or(old).unwrap();
        let image = |row: Option<&Value>| row.map_or(Value::Null, |row| typed(row)["M"].clone());
        let record = json!({
            "eventID": "e1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_420_800, "SequenceNumber": "1",
                "Keys": {"pk": typed(&keys["pk"]), "sk": typed(&keys["sk"])},
                "OldImage": image(old), "NewImage": image(new),
            },
        });
        let record = RawValue::from_string(record.to_string()).unwrap();
        Record::read(&record).change.unwrap()
    }

    /// Type and data of the event.
    fn told(old: Option<&Value>, new: Option<&Value>) -> Option<(String, Value)> {
        let event = event_of(&change(old, new))?;
        let mut payload: Value = serde_json::from_str(&event.payload).unwrap();
        for secret in ["oSecret", "13800138000", "13900139000"] {
            assert!(!event.payload.contains(secret), "{}", event.payload);
        }
        Some((event.kind, payload["data"].take()))
    }

    #[expect(clippy::unnecessary_wraps, reason = "what is compared with")]
    fn one(kind: &str, data: Value) -> Option<(String, Value)> {
        Some((kind.to_owned(), data))
    }

    #[test]
    fn a_user_is_created_changed_and_deleted() {
        let first = user(&json!({}));
        let data = json!({"userId": UID, "role": "user", "status": "active", "version": 1});
        assert_eq!(told(None, Some(&first)), one("user.created", data));
        let second = user(&json!({"version": 2, "nickname": "小明", "phone": "13900139000"}));
        let data = json!({"userId": UID, "changed": ["nickname", "phone"], "role": "user",
            "status": "active", "version": 2});
        assert_eq!(told(Some(&first), Some(&second)), one("user.updated", data));
        let gone = one("user.deleted", json!({"userId": UID}));
        assert_eq!(told(Some(&second), None), gone);
    }

    #[test]
    fn what_nobody_is_told_of_is_no_event() {
        let first = user(&json!({}));
        for changes in [
            json!({"lastActiveOn": "2026-11-26"}),
            json!({"updatedAt": "2026-11-27T00:00:00Z"}),
            json!({"status": "barred", "statusBefore": "active", "barredBy": SAGA}),
        ] {
            assert_eq!(told(Some(&first), Some(&user(&changes))), None, "{changes}");
        }
    }

    #[test]
    fn a_disabled_user_is_an_updated_one() {
        let (first, second) = (user(&json!({})), user(&json!({"status": "disabled"})));
        let data = json!({"userId": UID, "changed": ["status"], "role": "user",
            "status": "disabled", "version": 1});
        assert_eq!(told(Some(&first), Some(&second)), one("user.updated", data));
    }

    #[test]
    fn an_account_that_is_merged_is_not_deleted_but_merged() {
        let by = |saga: &str| user(&json!({"status": "barred", "barredBy": saga}));
        assert_eq!(told(Some(&by(SAGA)), None), None);
        let deletion = AccountDeletion::id(UID.parse().unwrap()).to_string();
        let gone = one("user.deleted", json!({"userId": UID}));
        assert_eq!(told(Some(&by(&deletion)), None), gone);

        let subject = json!({"saga": SAGA, "from": OTHER, "into": UID, "origin": "ticket"});
        let running = saga(&json!({"subject": subject}));
        let ended = saga(&json!({"outcome": "done"}));
        let merged = one("user.merged", json!({"userId": UID, "mergedUserId": OTHER}));
        assert_eq!(told(Some(&running), Some(&ended)), merged);
        let undone = saga(&json!({"outcome": "undone"}));
        assert_eq!(told(Some(&running), Some(&undone)), None);
        assert_eq!(told(Some(&running), Some(&running)), None);
        assert_eq!(told(Some(&ended), None), None);
        let deletion = json!({"kind": "account-deletion", "subject": {"user": UID}});
        let deleted = saga(&json!({"kind": "account-deletion", "outcome": "done"}));
        assert_eq!(told(Some(&saga(&deletion)), Some(&deleted)), None);
    }

    #[test]
    fn a_session_is_revoked_once() {
        let (open, ended) = (session(&json!({})), session(&json!({"revokedAt": AT})));
        let data = json!({"sessionId": SID, "userId": UID, "appId": "wx1"});
        let revoked = one("session.revoked", data);
        assert_eq!(told(Some(&open), Some(&ended)), revoked);
        assert_eq!(told(Some(&open), None), revoked);
        assert_eq!(told(Some(&ended), None), None);
        assert_eq!(told(None, Some(&open)), None);
        assert_eq!(
            told(Some(&open), Some(&session(&json!({"counter": 1})))),
            None
        );
        let expired = Change {
            has_expired: true,
            ..change(Some(&open), None)
        };
        assert_eq!(event_of(&expired), None);
    }

    #[test]
    fn a_change_that_is_delivered_twice_is_one_event() {
        let first = user(&json!({}));
        let id = |changed: Change| event_of(&changed).unwrap().id;
        let once = id(change(None, Some(&first)));
        assert_eq!(once, id(change(None, Some(&first))));
        let other = Change {
            id: "e2".into(),
            ..change(None, Some(&first))
        };
        assert_ne!(once, id(other));
    }
}
