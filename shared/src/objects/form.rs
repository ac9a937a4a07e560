//! Forms with which clients upload an object to the store by themselves
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>).
//!
//! The policy says what may be uploaded and until when, and the store refuses everything else: a
//! client that changes a field breaks the signature or a condition.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ObjectError,
    sign::{ALGORITHM, SECURITY_TOKEN, Signer, amz_date, construction},
};

/// What may be uploaded.
#[derive(Clone, Copy, Debug)]
pub struct FormOrder<'a> {
    /// Under exactly this key.
    pub key: &'a str,
    /// With exactly this content type.
    pub content_type: &'a str,
    /// At least one byte, and at most this many.
    pub max_bytes: u32,
    /// For this long.
    pub lifetime: Duration,
}

/// A signed form. It has no `Debug`: it is permission to upload for anybody.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UploadForm {
    /// Where it is posted to, as `multipart/form-data`.
    pub url: String,
    /// Its fields, all of which have to be sent before the file.
    #[cfg_attr(feature = "openapi", schemars(with = "BTreeMap<String, String>"))]
    pub fields: BTreeMap<&'static str, String>,
}

/// The form for `order`, signed at `now`.
///
/// # Errors
/// [`ObjectError::Construction`] when the form would never end.
pub(super) fn form(
    signer: &Signer,
    (bucket, url): (&str, &str),
    order: FormOrder<'_>,
    now: Timestamp,
) -> Result<UploadForm, ObjectError> {
    let expiration = now
        .checked_add(order.lifetime)
        .map_err(|error| construction(&error))?;
    let mut fields = BTreeMap::from([
        ("key", order.key.to_owned()),
        ("Content-Type", order.content_type.to_owned()),
        ("x-amz-algorithm", ALGORITHM.to_owned()),
        ("x-amz-credential", signer.credential(now)),
        ("x-amz-date", amz_date(now)),
    ]);
    if let Some(token) = signer.session_token() {
        fields.insert(SECURITY_TOKEN, token.to_owned());
    }
    let mut conditions: Vec<Value> = vec![
        json!({"bucket": bucket}),
        json!(["content-length-range", 1, order.max_bytes]),
    ];
    let exact = |(name, value)| json!(["eq", format!("${name}"), value]);
    conditions.extend(fields.iter().map(exact));
    let policy = json!({
        "expiration": format!("{expiration:.3}"),
        "conditions": conditions,
    });
    let policy = STANDARD.encode(policy.to_string());
    fields.insert("x-amz-signature", signer.sign_policy(&policy, now));
    fields.insert("policy", policy);
    Ok(UploadForm {
        url: url.to_owned(),
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::sign::tests::example;

    fn made(session: Option<&str>) -> UploadForm {
        let order = FormOrder {
            key: "uploads/k",
            content_type: "image/png",
            max_bytes: 1000,
            lifetime: Duration::from_mins(5),
        };
        let now = "2026-11-26T01:02:03Z".parse().unwrap();
        form(&example(session), ("b", "https://b.example"), order, now).unwrap()
    }

    fn policy(form: &UploadForm) -> Value {
        serde_json::from_slice(&STANDARD.decode(&form.fields["policy"]).unwrap()).unwrap()
    }

    #[test]
    fn the_policy_names_each_field_and_the_range() {
        let form = made(None);
        let expected = json!({
            "expiration": "2026-11-26T01:07:03.000Z",
            "conditions": [
                {"bucket": "b"},
                ["content-length-range", 1, 1000],
                ["eq", "$Content-Type", "image/png"],
                ["eq", "$key", "uploads/k"],
                ["eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"],
                ["eq", "$x-amz-credential", "AKIAIOSFODNN7EXAMPLE/20261126/us-east-1/s3/aws4_request"],
                ["eq", "$x-amz-date", "20261126T010203Z"],
            ],
        });
        assert_eq!(policy(&form), expected);
        assert_eq!(form.url, "https://b.example");
        assert_eq!(form.fields["x-amz-signature"].len(), 64);
    }

    #[test]
    fn a_session_token_is_a_field_that_the_policy_names() {
        let form = made(Some("token"));
        assert_eq!(form.fields["x-amz-security-token"], "token");
        let conditions = policy(&form)["conditions"].clone();
        let token = json!(["eq", "$x-amz-security-token", "token"]);
        assert!(
            conditions.as_array().unwrap().contains(&token),
            "{conditions}"
        );
    }
}
