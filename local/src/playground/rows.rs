//! `GET /_playground/rows`: the rows of the table that belong to the caller.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::{extract::State, http::HeaderMap};
use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use shared::{
    api::{ApiError, Success},
    users::{UserRow, rows::Shown},
};

use super::Playground;

/// More rows than the page shows.
const MAX_ROWS: usize = 100;
/// What exports leave out because it repeats other attributes or is of no use to users: keys, and what
/// other rows are found by. Anything else that they leave out can be a secret.
const PLAIN: [&str; 10] = [
    "pk",
    "sk",
    "uid",
    "user",
    "identities",
    "phoneClaim",
    "gsi1pk",
    "gsi1sk",
    "ttl",
    "choice",
];

#[derive(Serialize)]
pub(super) struct Rows {
    rows: Vec<ShownRow>,
    /// Whether there are more.
    more: bool,
}

#[derive(Serialize)]
struct ShownRow {
    pk: String,
    sk: String,
    /// Without the key.
    attributes: BTreeMap<String, Value>,
    /// The names of attributes that are not shown, such as session keys.
    withheld: Vec<String>,
}

pub(super) async fn rows(
    State(playground): State<Arc<Playground>>,
    headers: HeaderMap,
) -> Result<Success<Rows>, ApiError> {
    let caller = playground.claims(&headers).await?;
    let found = playground.rows.of(caller.sub).take(MAX_ROWS + 1);
    // Boxed: reading is rare, and its future large.
    let collected = Box::pin(found.map_ok(ShownRow::from).try_collect());
    let mut rows: Vec<_> = collected.await?;
    let more = rows.len() > MAX_ROWS;
    rows.truncate(MAX_ROWS);
    // The profile first: rows come in the order in which they can be deleted.
    rows.reverse();
    Ok(Success(Rows { rows, more }))
}

impl From<UserRow> for ShownRow {
    fn from(row: UserRow) -> Self {
        let exported = row.kind.map_or(&[][..], |kind| kind.export.shown);
        let is_shown = |name: &str| {
            PLAIN.contains(&name) || exported.iter().map(Shown::attribute).any(|it| it == name)
        };
        let (pk, sk) = (row.pk().to_owned(), row.sk().to_owned());
        let (shown, withheld): (BTreeMap<_, _>, BTreeMap<_, _>) = row
            .item
            .into_iter()
            .filter(|(name, _)| name != "pk" && name != "sk")
            .partition(|(name, _)| is_shown(name));
        let attributes = shown.into_iter();
        Self {
            pk,
            sk,
            attributes: attributes
                .map(|(name, value)| (name, plain(&value)))
                .collect(),
            withheld: withheld.into_keys().collect(),
        }
    }
}

/// A value as JSON has it. Numbers keep their digits.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => number
            .parse::<i64>()
            .map_or_else(|_| number.as_str().into(), Into::into),
        AttributeValue::Bool(flag) => (*flag).into(),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Ss(texts) => json!(texts),
        AttributeValue::Ns(numbers) => json!(numbers),
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        AttributeValue::M(map) => {
            let members = map.iter().map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(members.collect())
        }
        // Bytes, and kinds that there may be some day.
        _ => "(binary)".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use shared::users::rows::{IDENTITY, RowKind, SESSION};

    use super::*;

    fn shown(kind: Option<&'static RowKind>, attributes: &[&str]) -> ShownRow {
        let text = |name: &&str| ((*name).to_owned(), AttributeValue::S("value".to_owned()));
        let item: HashMap<_, _> = attributes.iter().map(text).collect();
        UserRow { kind, item }.into()
    }

    #[test]
    fn session_keys_are_named_and_not_shown() {
        let attributes = [
            "pk",
            "sk",
            "uid",
            "unionId",
            "sessionKey",
            "prevSessionKey",
            "sessionKeyTag",
        ];
        let row = shown(Some(&IDENTITY), &attributes);
        let names: Vec<_> = row.attributes.keys().collect();
        assert_eq!(names, ["uid", "unionId"]);
        assert_eq!(
            row.withheld,
            ["prevSessionKey", "sessionKey", "sessionKeyTag"]
        );
    }

    #[test]
    fn an_attribute_or_a_kind_that_is_new_is_not_shown() {
        assert_eq!(shown(Some(&SESSION), &["secret"]).withheld, ["secret"]);
        assert_eq!(shown(None, &["id"]).withheld, ["id"]);
    }

    #[test]
    fn values_are_as_json_has_them() {
        let number = AttributeValue::N("7".to_owned());
        for (value, wanted) in [
            (number.clone(), json!(7)),
            (
                AttributeValue::N("12345678901234567890123".to_owned()),
                json!("12345678901234567890123"),
            ),
            (AttributeValue::Bool(true), json!(true)),
            (AttributeValue::Ss(vec!["a".to_owned()]), json!(["a"])),
            (AttributeValue::L(vec![number.clone()]), json!([7])),
            (
                AttributeValue::M([("a".to_owned(), number)].into()),
                json!({"a": 7}),
            ),
        ] {
            assert_eq!(plain(&value), wanted);
        }
    }
}
