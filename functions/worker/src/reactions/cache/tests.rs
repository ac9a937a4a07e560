//! Which keys a change makes outdated.

use serde_json::{Value, json};
use shared::{
    changes::{Change, RowKey},
    config::Env,
};

use super::{
    super::fixtures::{NOW, SESSION, USER, changed, consent, profile, saga, session},
    Longest, cached_under, outdated,
};

/// The key that a change makes outdated, and how many seconds a value of it lives.
fn of(change: &Change) -> Option<(String, i64)> {
    let env = Env::new([
        ("SESSION_CACHE_SECONDS", "100"),
        ("PROFILE_CACHE_SECONDS", "200"),
        ("CONFIG_CACHE_SECONDS", "3600"),
        ("CONFIG_STALE_SECONDS", "1000"),
    ]);
    let outdated = outdated(change, &Longest::read(&env));
    outdated.map(|(key, longest)| (key, longest.as_secs()))
}

fn config() -> Value {
    json!({"pk": {"S": "CONFIG#home.banner"}, "sk": {"S": "CONFIG"}, "value": {"S": "{}"}})
}

#[test]
fn a_users_row_outdates_the_profile_unless_it_is_new_or_says_the_same() {
    let cached = Some((format!("{{u:{USER}}}:profile"), 210));
    let before = || Some(profile(&json!({})));
    let other = profile(&json!({"nickname": {"S": "x"}, "version": {"N": "2"}}));
    assert_eq!(of(&changed(before(), Some(other.clone()))), cached);
    assert_eq!(of(&changed(before(), None)), cached);
    assert_eq!(of(&changed(None, Some(other))), None);
    let same = profile(&json!({"barredBy": {"S": "000102030405060708090a0b0c0d0e0f"}}));
    assert_eq!(of(&changed(before(), Some(same))), None);
}

#[test]
fn a_session_that_ends_outdates_what_is_cached_of_it() {
    let cached = Some((format!("{{s:{SESSION}}}"), 110));
    let open = || Some(session(&json!({})));
    let ended = || session(&json!({"revokedAt": {"S": NOW}}));
    assert_eq!(of(&changed(open(), Some(ended()))), cached);
    assert_eq!(of(&changed(open(), None)), cached);
    // It began, was refreshed, or had ended or expired before.
    let refreshed = session(&json!({"counter": {"N": "1"}}));
    for (old, new) in [
        (None, open()),
        (open(), Some(refreshed)),
        (Some(ended()), Some(ended())),
        (Some(ended()), None),
    ] {
        assert_eq!(of(&changed(old, new)), None);
    }
    let mut expired = changed(open(), None);
    expired.has_expired = true;
    assert_eq!(of(&expired), None);
}

/// A value of it lives as long as it may be served while DynamoDB does not answer.
#[test]
fn remote_configuration_is_outdated_by_each_change() {
    let cached = Some(("{config:home.banner}".to_owned(), 4610));
    for (old, new) in [
        (None, Some(config())),
        (Some(config()), Some(config())),
        (Some(config()), None),
    ] {
        assert_eq!(of(&changed(old, new)), cached);
    }
}

#[test]
fn nothing_is_cached_of_other_rows() {
    let saga = saga("account-deletion", &json!({}));
    for row in [consent(&json!({})), saga] {
        assert_eq!(of(&changed(Some(row), None)), None);
    }
}

#[test]
fn a_row_that_cannot_be_read_outdates_what_its_key_says() {
    let key = |pk: &str, sk: &str| RowKey {
        pk: pk.to_owned(),
        sk: sk.to_owned(),
    };
    let user = format!("USER#{USER}");
    for (key, wanted) in [
        (key(&user, "PROFILE"), Some(format!("{{u:{USER}}}:profile"))),
        (
            key(&user, &format!("SESSION#{SESSION}")),
            Some(format!("{{s:{SESSION}}}")),
        ),
        (key(&user, "SESSION#x"), None),
        (key("USER#x", "PROFILE"), None),
        (key("SAGA#00", "SAGA"), None),
    ] {
        assert_eq!(cached_under(&key), wanted, "{key:?}");
    }
}
