//! Reads a query string by the rules of a body: unknown and repeated parameters are refused, and all
//! other violations are reported together.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{
    Deserialize,
    de::value::{Error, MapDeserializer},
};
use url::form_urlencoded;

use super::{ApiError, Checks, Input, Reason, Violation, json::rule_and_field};

/// The query of a request as a `T`. The fields of its raw form are texts, which `T` parses: a query
/// has no other types.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: Input> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: Input>(query: &str) -> Result<T, ApiError> {
    let parameters = form_urlencoded::parse(query.as_bytes());
    let raw = T::Raw::deserialize(MapDeserializer::<_, Error>::new(parameters));
    let raw = raw.map_err(|error| {
        let (rule, field) = rule_and_field(&error.to_string(), "");
        ApiError::invalid(vec![Violation::new(field, rule)])
    })?;
    let mut checks = Checks::default();
    let parsed = T::parse(raw, &mut checks);
    checks.finish().map_err(ApiError::invalid)?;
    parsed.ok_or_else(|| Reason::InvalidRequest.into())
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse};
    use serde_json::Value;

    use super::*;
    use crate::api::{Optional, Rule};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct RawPage {
        #[serde(default)]
        page_size: Optional<String>,
        #[serde(default)]
        name: Optional<String>,
    }

    #[derive(Debug, PartialEq)]
    struct Page(Option<u8>, Option<String>);

    impl Input for Page {
        type Raw = RawPage;

        fn parse(raw: RawPage, checks: &mut Checks) -> Option<Self> {
            let size = raw.page_size.0.map(|text| text.parse().ok());
            let size = size.map(|size| checks.field("pageSize", Rule::Type, size));
            Some(Self(size.flatten(), raw.name.0))
        }
    }

    async fn refused(query: &str) -> (String, String) {
        let response = parse::<Page>(query).expect_err(query).into_response();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let field = &body["data"]["fields"][0];
        let text = |name: &str| field[name].as_str().unwrap().to_owned();
        (text("field"), text("rule"))
    }

    #[test]
    fn parameters_are_decoded_and_may_be_left_out() {
        assert_eq!(parse::<Page>("").unwrap(), Page(None, None));
        assert_eq!(
            parse::<Page>("name=%E5%B0%8F+%E6%98%8E&pageSize=7").unwrap(),
            Page(Some(7), Some("小 明".into()))
        );
    }

    #[tokio::test]
    async fn unknown_repeated_and_wrong_parameters_are_named() {
        for (query, field, rule) in [
            ("page_size=1", "page_size", "unknown_field"),
            ("=1", "", "unknown_field"),
            ("name=a&name=b", "name", "duplicate_field"),
            ("pageSize=x", "pageSize", "type"),
            ("pageSize=", "pageSize", "type"),
            ("pageSize=256", "pageSize", "type"),
        ] {
            assert_eq!(refused(query).await, (field.into(), rule.into()), "{query}");
        }
    }
}
