//! The policy of a form
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>).

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;

use super::S3Error;

/// The sizes of a file that are allowed, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) min: u64,
    pub(super) max: u64,
}

/// Fields that need no condition.
const FREE: [&str; 2] = ["policy", "x-amz-signature"];

type Fields = BTreeMap<String, String>;

/// Checks the fields against their policy, which is signed. Each field needs a condition, and each
/// condition has to hold.
pub(super) fn check(bucket: &str, fields: &Fields, now: Timestamp) -> Result<Range, S3Error> {
    let policy = fields.get("policy").ok_or(S3Error::ACCESS_DENIED)?;
    let policy = STANDARD.decode(policy).ok();
    let policy = policy.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let policy = policy.ok_or(S3Error::MALFORMED_POLICY)?;
    let expiration = policy["expiration"]
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    if expiration.ok_or(S3Error::MALFORMED_POLICY)? <= now {
        return Err(S3Error::POLICY_EXPIRED);
    }
    if fields.get("bucket").is_some_and(|named| named != bucket) {
        return Err(S3Error::policy("the bucket is another one"));
    }
    let conditions = policy["conditions"].as_array();
    let mut range = Range {
        min: 0,
        max: u64::MAX,
    };
    let mut named = BTreeSet::from(FREE.map(str::to_owned));
    for condition in conditions.ok_or(S3Error::MALFORMED_POLICY)? {
        match Condition::read(condition).ok_or(S3Error::MALFORMED_POLICY)? {
            Condition::Range(found) => range = found,
            Condition::Field { name, value, exact } => {
                let field = match &*name {
                    "bucket" => bucket,
                    name => fields.get(name).map_or("", String::as_str),
                };
                let holds = if exact {
                    field == value
                } else {
                    field.starts_with(value)
                };
                if !holds {
                    let what = format!("Policy Condition failed: {condition}");
                    return Err(S3Error::policy(&what));
                }
                named.insert(name);
            }
        }
    }
    match fields.keys().find(|name| !named.contains(*name)) {
        Some(extra) => Err(S3Error::policy(&format!("Extra input fields: {extra}"))),
        None => Ok(range),
    }
}

enum Condition<'a> {
    Range(Range),
    Field {
        /// In lower case.
        name: String,
        value: &'a str,
        /// Else the field has to begin with the value.
        exact: bool,
    },
}

impl<'a> Condition<'a> {
    fn read(condition: &'a Value) -> Option<Self> {
        if let Some(exact) = condition.as_object() {
            let (name, value) = exact.iter().next().filter(|_| exact.len() == 1)?;
            return Some(Self::Field {
                name: name.to_ascii_lowercase(),
                value: value.as_str()?,
                exact: true,
            });
        }
        let [operator, name, value] = &**condition.as_array()? else {
            return None;
        };
        let operator = operator.as_str()?.to_ascii_lowercase();
        if operator == "content-length-range" {
            return Some(Self::Range(Range {
                min: name.as_u64()?,
                max: value.as_u64()?,
            }));
        }
        Some(Self::Field {
            name: name.as_str()?.strip_prefix('$')?.to_ascii_lowercase(),
            value: value.as_str()?,
            exact: match &*operator {
                "eq" => true,
                "starts-with" => false,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(conditions: &Value, fields: &[(&str, &str)]) -> Result<Range, S3Error> {
        let policy = json!({"expiration": "2026-11-26T01:00:00.000Z", "conditions": conditions});
        let policy = STANDARD.encode(policy.to_string());
        let fields = fields.iter().copied().chain([("policy", &*policy)]);
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        check(
            "b",
            &fields.collect(),
            "2026-11-26T00:59:59Z".parse().unwrap(),
        )
    }

    #[test]
    fn each_condition_has_to_hold_and_each_field_to_have_one() {
        let conditions = json!([
            {"bucket": "b"},
            ["eq", "$Key", "k"],
            ["starts-with", "$Content-Type", "image/"],
            ["content-length-range", 1, 5],
        ]);
        let right = [("key", "k"), ("content-type", "image/png")];
        assert_eq!(checked(&conditions, &right), Ok(Range { min: 1, max: 5 }));
        for wrong in [
            &[("key", "k2"), right[1]][..],
            &[("key", "K"), right[1]],
            &[right[0], ("content-type", "text/html")],
            &[right[1]],
            &[right[0], right[1], ("acl", "public-read")],
            &[right[0], right[1], ("bucket", "c")],
        ] {
            assert_eq!(
                checked(&conditions, wrong).unwrap_err().code,
                "AccessDenied",
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_condition_that_is_not_understood_is_not_skipped() {
        for conditions in [
            json!([{"bucket": "b", "key": "k"}]),
            json!([["eq", "key", "k"]]),
            json!([["like", "$key", "k"]]),
            json!([["eq", "$key"]]),
            json!(["k"]),
            json!({}),
        ] {
            let error = checked(&conditions, &[]).unwrap_err();
            assert_eq!(error.code, "InvalidPolicyDocument", "{conditions}");
        }
        assert_eq!(
            checked(&json!([{"bucket": "c"}]), &[]).unwrap_err().code,
            "AccessDenied"
        );
    }

    #[test]
    fn a_policy_ends_with_its_expiration() {
        let policy = json!({"expiration": "2026-11-26T00:59:59Z", "conditions": []});
        let policy = STANDARD.encode(policy.to_string());
        let fields = Fields::from([("policy".to_owned(), policy)]);
        let at = |time: &str| check("b", &fields, time.parse().unwrap());
        assert!(at("2026-11-26T00:59:58Z").is_ok());
        assert_eq!(at("2026-11-26T00:59:59Z"), Err(S3Error::POLICY_EXPIRED));
    }
}
