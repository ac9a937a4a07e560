//! A page of an export: rows as their kinds say that they are shown.

use std::{collections::BTreeMap, io};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use shared::{
    api::{ApiError, Reason},
    dynamo::{self, DynamoError, Item},
    request,
    users::{
        UserRow,
        rows::{Export, PROFILE, ROW_KINDS, RowKind, Shown},
    },
};

/// A page takes no further row when its rows have this many bytes of JSON.
const FULL: usize = 1024 * 1024;

/// The `data` of the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    exported_at: Timestamp,
    /// The user of the first page, `null` on others; of each other kind the list of rows.
    #[serde(flatten)]
    sections: BTreeMap<&'static str, Value>,
    /// Where the next page begins; none on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    #[serde(skip)]
    size: usize,
}

impl Page {
    pub fn new(exported_at: Timestamp) -> Self {
        let empty = |kind: &RowKind| match kind {
            &PROFILE => Value::Null,
            _ => Value::Array(Vec::new()),
        };
        let sections = ROW_KINDS.iter().filter(|kind| kind.export.has_rows());
        let sections = sections.map(|kind| (kind.export.section, empty(kind)));
        Self {
            exported_at,
            sections: sections.collect(),
            next_cursor: None,
            size: 0,
        }
    }

    pub fn is_full(&self) -> bool {
        self.size >= FULL
    }

    /// Adds a row. One whose kind this version of the code does not know is left out: what of it may
    /// be shown is not known either.
    pub fn add_row(&mut self, row: UserRow) -> Result<(), ApiError> {
        if let Some(kind) = row.kind {
            return self.add(kind, row.item);
        }
        tracing::warn!(
            request_id = request::id(),
            "a row of an unknown kind is not exported"
        );
        Ok(())
    }

    /// Adds a row of this kind.
    pub fn add(&mut self, kind: &RowKind, item: Item) -> Result<(), ApiError> {
        if !kind.export.has_rows() {
            return Ok(());
        }
        let row = Value::Object(shown(&kind.export, kind.pk_prefix, item)?);
        self.size += json_size(&row)?;
        match self.sections.get_mut(kind.export.section) {
            Some(Value::Array(rows)) => rows.push(row),
            Some(single) => *single = row,
            None => {}
        }
        Ok(())
    }
}

/// What an export shows of a row; `null` for what the row does not have.
fn shown(
    export: &Export,
    pk_prefix: &str,
    mut item: Item,
) -> Result<Map<String, Value>, DynamoError> {
    let mut members = Item::new();
    let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
    let ids = pk.and_then(|pk| pk.strip_prefix(pk_prefix));
    let ids = ids.unwrap_or_default().splitn(export.key_parts.len(), '#');
    for (name, id) in export.key_parts.iter().zip(ids) {
        members.insert((*name).to_owned(), dynamo::string(id));
    }
    let mut absent = Vec::new();
    for shown in export.shown {
        let value = item.remove(shown.attribute());
        let (name, value) = match *shown {
            Shown::As(name) | Shown::Renamed(_, name) => (name, value),
            Shown::Time(_, name) => {
                let seconds = value.and_then(|value| value.as_n().ok()?.parse().ok());
                let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
                (name, time.map(|time| dynamo::string(time.to_string())))
            }
        };
        match value {
            Some(value) => drop(members.insert(name.to_owned(), value)),
            None => absent.push(name.to_owned()),
        }
    }
    let mut members: Map<String, Value> = dynamo::from_item(members)?;
    members.extend(absent.into_iter().map(|name| (name, Value::Null)));
    Ok(members)
}

/// Counted, not written.
fn json_size(row: &Value) -> Result<usize, ApiError> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, row)
        .map_err(|error| ApiError::new(Reason::Internal).because(&error))?;
    Ok(count.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::users::rows::{IDENTITY, PHONE_OWNER, SESSION, UNION_LINK};

    use super::*;

    fn row(pk: &str, sk: &str, attributes: &[(&str, &str)]) -> Item {
        let attributes = attributes.iter();
        let attributes =
            attributes.map(|(name, value)| ((*name).to_owned(), dynamo::string(*value)));
        let mut row = dynamo::key(pk, sk);
        row.extend(attributes);
        row
    }

    fn shown_of(kind: &RowKind, item: Item) -> Value {
        Value::Object(shown(&kind.export, kind.pk_prefix, item).unwrap())
    }

    #[test]
    fn an_identity_has_the_ids_of_its_key_and_no_session_key() {
        let secrets = [
            ("sessionKey", "s1"),
            ("prevSessionKey", "s2"),
            ("sessionKeyTag", "s3"),
            ("made-up", "s4"),
        ];
        let item = row("WX#wx1#o#1", "IDENTITY", &secrets);
        let wanted = json!({
            "appId": "wx1", "openId": "o#1", "unionId": null, "unionLinked": null, "createdAt": null,
            "lastLoginAt": null, "loginCount": null,
        });
        assert_eq!(shown_of(&IDENTITY, item), wanted);
    }

    #[test]
    fn a_phone_number_does_not_have_its_hash() {
        let item = row("PHONE#0123", "OWNER", &[("uid", "u")]);
        let wanted = json!({"userId": "u", "provenOn": null});
        assert_eq!(shown_of(&PHONE_OWNER, item), wanted);
        let link = row("UNION#u1", "IDENTITY", &[("uid", "u")]);
        let wanted = json!({"userId": "u", "unionId": "u1"});
        assert_eq!(shown_of(&UNION_LINK, link), wanted);
    }

    #[test]
    fn a_session_has_the_names_of_the_api_and_its_end_as_a_time() {
        let mut item = row("USER#u", "SESSION#s", &[("rotatedAt", "t"), ("user", "u")]);
        item.insert("ttl".to_owned(), dynamo::number(0));
        item.insert("counter".to_owned(), dynamo::number(3));
        let session = shown_of(&SESSION, item);
        assert_eq!(session["refreshedAt"], "t");
        assert_eq!(session["refreshes"], 3);
        assert_eq!(session["expiresAt"], "1970-01-01T00:00:00Z");
        assert_eq!(session.get("user"), None);
    }

    #[test]
    fn the_size_of_a_page_is_that_of_its_rows() {
        let mut page = Page::new(Timestamp::UNIX_EPOCH);
        page.add(&UNION_LINK, row("UNION#u1", "IDENTITY", &[("uid", "u")]))
            .unwrap();
        assert_eq!(page.size, r#"{"unionId":"u1","userId":"u"}"#.len());
        assert!(!page.is_full());
    }
}
