//! Records of the table's stream.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{row::Row, unreadable::Unreadable};
use crate::dynamo::Item;

/// By whom `DynamoDB` deletes rows that have expired.
const TTL: &str = "dynamodb.amazonaws.com";

/// A change of a row.
#[derive(Debug)]
pub struct Change {
    /// The id of the change in the stream: the same in each delivery.
    pub id: String,
    /// When it was written, to the second; the stream calls it approximate.
    pub at: Timestamp,
    /// Whether the row went because it had expired.
    pub has_expired: bool,
    /// The row before and after.
    pub row: Row,
}

/// A record of the stream, as it was delivered.
#[derive(Debug)]
pub struct Record {
    /// Its place in its shard: what a failure is reported with.
    pub sequence: Option<String>,
    /// What changes of one row share: a digest of its partition key.
    pub group: Group,
    /// The row's key, if it can be read.
    pub key: Option<RowKey>,
    /// The change, if it can be read.
    pub change: Result<Change, Unreadable>,
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Keys")]
pub struct RowKey {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// A digest of a partition key: records of one group are handled one after the other. Also what a log
/// line may say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group([u8; 8]);

impl Group {
    /// Of the changes under this partition key.
    #[must_use]
    pub fn of(pk: &str) -> Self {
        let digest = Sha256::digest(pk);
        Self(std::array::from_fn(|at| digest[at]))
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "userIdentity", default)]
    user_identity: Option<UserIdentity>,
    dynamodb: WireRow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentity {
    #[serde(default, alias = "PrincipalId")]
    principal_id: Option<String>,
}

/// A time, as Lambda has it or as the command line of AWS prints it: an operator hands over again what
/// was given up (docs/runbook.md).
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// Seconds since the epoch, with or without a fraction.
    Seconds(f64),
    Text(Timestamp),
}

impl Default for Written {
    fn default() -> Self {
        Self::Seconds(0.0)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRow {
    #[serde(default)]
    approximate_creation_date_time: Written,
    keys: RowKey,
    #[serde(default)]
    new_image: Option<serde_dynamo::Item>,
    #[serde(default)]
    old_image: Option<serde_dynamo::Item>,
}

#[derive(Deserialize)]
struct Keys {
    pk: Text,
    sk: Text,
}

impl From<Keys> for RowKey {
    fn from(Keys { pk, sk }: Keys) -> Self {
        Self {
            pk: pk.text,
            sk: sk.text,
        }
    }
}

/// A text attribute.
#[derive(Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

/// What is read of any record first, so that also one that is otherwise unreadable has its place.
#[derive(Default, Deserialize)]
struct Outline {
    #[serde(default)]
    dynamodb: OutlineRow,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OutlineRow {
    #[serde(default)]
    sequence_number: Option<String>,
}

impl Record {
    /// Reads a record.
    #[must_use]
    pub fn read(raw: &RawValue) -> Self {
        let outline: Outline = serde_json::from_str(raw.get()).unwrap_or_default();
        let sequence = outline.dynamodb.sequence_number;
        match serde_json::from_str::<Wire>(raw.get()) {
            // Without a place it could not be asked for again.
            Ok(wire) if sequence.is_some() => Self {
                sequence,
                group: Group::of(&wire.dynamodb.keys.pk),
                key: Some(wire.dynamodb.keys.clone()),
                change: wire.into_change(),
            },
            _ => Self {
                // Nothing is known of its key.
                group: Group::of(sequence.as_deref().unwrap_or_default()),
                sequence,
                key: None,
                change: Err(Unreadable::Record),
            },
        }
    }
}

impl Wire {
    fn into_change(self) -> Result<Change, Unreadable> {
        let row = self.dynamodb;
        let expired_by = self.user_identity.and_then(|by| by.principal_id);
        let (old, new) = (row.old_image.map(item), row.new_image.map(item));
        Ok(Change {
            id: self.event_id,
            at: row.approximate_creation_date_time.to_second(),
            has_expired: expired_by.as_deref() == Some(TTL),
            row: Row::read(&row.keys.pk, &row.keys.sk, old, new)?,
        })
    }
}

fn item(item: serde_dynamo::Item) -> Item {
    let item: std::collections::HashMap<String, AttributeValue> = item.into();
    item
}

impl Written {
    /// To the second, which is what the stream says in both forms.
    fn to_second(&self) -> Timestamp {
        let seconds = match self {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a time that is out of range becomes the epoch below"
            )]
            Self::Seconds(seconds) => *seconds as i64,
            Self::Text(time) => time.as_second(),
        };
        Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::changes::{Images, Row};

    const USER: &str = "0193c0de-0000-7000-8000-00000000abcd";

    fn read(record: &Value) -> Record {
        Record::read(&RawValue::from_string(record.to_string()).unwrap())
    }

    /// As Lambda delivers it.
    fn profile() -> Value {
        let image = json!({
            "pk": {"S": format!("USER#{USER}")}, "sk": {"S": "PROFILE"},
            "id": {"S": USER}, "role": {"S": "user"}, "status": {"S": "active"},
            "createdAt": {"S": "2026-11-23T01:02:03.004Z"}, "updatedAt": {"S": "2026-11-23T01:02:03.004Z"},
            "version": {"N": "1"}, "identities": {"SS": ["WX#wx1#o1"]}, "ofALaterVersion": {"BOOL": true},
        });
        json!({
            "eventID": "c4ca4238a0b923820dcc509a6f75849b", "eventName": "INSERT", "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "ap-southeast-1",
            "eventSourceARN": "arn:aws:dynamodb:ap-southeast-1:111122223333:table/t/stream/2026-11-26T00:00:00.000",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_420_800, "SequenceNumber": "4421584500000000017450439091",
                "SizeBytes": 260, "StreamViewType": "NEW_AND_OLD_IMAGES",
                "Keys": {"pk": image["pk"], "sk": image["sk"]}, "NewImage": image,
            },
        })
    }

    #[test]
    fn a_record_is_a_change_of_a_row() {
        let record = read(&profile());
        assert_eq!(
            record.sequence.as_deref(),
            Some("4421584500000000017450439091")
        );
        assert_eq!(record.group, Group::of(&format!("USER#{USER}")));
        let change = record.change.unwrap();
        assert_eq!(change.id, "c4ca4238a0b923820dcc509a6f75849b");
        assert_eq!(change.at.as_second(), 1_795_420_800);
        assert!(!change.has_expired);
        let Row::User {
            id,
            images:
                Images {
                    old: None,
                    new: Some(new),
                },
        } = change.row
        else {
            panic!("{:?}", change.row)
        };
        assert_eq!((id.to_string(), new.user.version), (USER.to_owned(), 1));
    }

    #[test]
    fn a_row_that_expired_is_told_from_one_that_was_deleted() {
        let mut record = profile();
        record["userIdentity"] = json!({"type": "Service", "principalId": TTL});
        assert!(read(&record).change.unwrap().has_expired);
        record["userIdentity"] = json!({"type": "Service", "principalId": "someone"});
        assert!(!read(&record).change.unwrap().has_expired);
    }

    /// `aws dynamodbstreams get-records`, version 2.
    #[test]
    fn a_record_is_read_as_the_command_line_prints_it() {
        let mut record = profile();
        let row = &mut record["dynamodb"];
        row["ApproximateCreationDateTime"] = json!("2026-11-23T09:20:00+08:00");
        record["userIdentity"] = json!({"Type": "Service", "PrincipalId": TTL});
        let change = read(&record).change.unwrap();
        assert_eq!(change.at.to_string(), "2026-11-23T01:20:00Z");
        assert!(change.has_expired);
        record["dynamodb"]["ApproximateCreationDateTime"] = json!("yesterday");
        assert_eq!(read(&record).change.unwrap_err(), Unreadable::Record);
    }

    #[test]
    fn a_record_in_an_unknown_form_keeps_its_place() {
        let sequence = Some("4421584500000000017450439091");
        for (path, value, why) in [
            (
                "/dynamodb/Keys/pk",
                json!({"S": "ORDER#1"}),
                Unreadable::Kind,
            ),
            (
                "/dynamodb/Keys/sk",
                json!({"S": "PROFILES"}),
                Unreadable::Kind,
            ),
            ("/dynamodb/Keys/pk", json!({"N": "1"}), Unreadable::Record),
            ("/dynamodb/NewImage", json!("garbage"), Unreadable::Record),
            (
                "/dynamodb/NewImage/status",
                json!({"S": "frozen"}),
                Unreadable::Row("PROFILE"),
            ),
            (
                "/dynamodb/NewImage/version",
                json!({"S": "one"}),
                Unreadable::Row("PROFILE"),
            ),
            ("/eventID", json!(7), Unreadable::Record),
        ] {
            let mut record = profile();
            *record.pointer_mut(path).unwrap() = value;
            let record = read(&record);
            assert_eq!(record.sequence.as_deref(), sequence, "{path}");
            assert_eq!(record.change.unwrap_err(), why, "{path}");
        }
        for garbage in [json!(null), json!([]), json!({}), json!({"dynamodb": 1})] {
            let record = read(&garbage);
            assert_eq!(record.sequence, None);
            assert_eq!(record.change.unwrap_err(), Unreadable::Record);
        }
    }

    #[test]
    fn why_a_record_is_unreadable_says_nothing_of_its_content() {
        let mut record = profile();
        record["dynamodb"]["NewImage"]["status"] = json!({"S": "13800138000"});
        let unreadable = read(&record).change.unwrap_err();
        assert_eq!(
            unreadable.to_string(),
            "a row of the kind PROFILE in an unknown form"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_is_json_panics(text in ".*", number in any::<f64>()) {
            let mut record = profile();
            record["dynamodb"]["ApproximateCreationDateTime"] = json!(number);
            record["dynamodb"]["NewImage"]["createdAt"] = json!({"S": text.clone()});
            record["dynamodb"]["Keys"]["sk"] = json!({"S": text});
            read(&record);
        }
    }
}
