//! Where DynamoDB is, by the SDK's own rules for endpoints.

use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use futures_util::FutureExt;
use http::Uri;

/// A resolved endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Where requests are sent.
    pub(super) uri: Uri,
    /// The region in their signatures: the configured one, unless the rules name another.
    pub(super) region: String,
}

impl Endpoint {
    /// The endpoint of `table` in `region`, or the one at the URL `override_url`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn resolve(
        region: &str,
        override_url: Option<&str>,
        table: &str,
    ) -> Result<Self, String> {
        let params = Params::builder()
            .region(region)
            .set_endpoint(override_url.map(str::to_owned))
            // The client's default.
            .account_id_endpoint_mode("preferred")
            .resource_arn(table)
            .build()
            .map_err(|error| error.to_string())?;
        let rules = DefaultResolver::new();
        let resolved = ResolveEndpoint::resolve_endpoint(&rules, &params)
            .now_or_never()
            .ok_or("the endpoint's rules wait for something")?
            .map_err(|error| error.to_string())?;
        let signing_region = resolved.auth_schemes().iter().find_map(|scheme| {
            let region = scheme.get("signingRegion")?.as_string()?;
            Some(region.to_owned())
        });
        Ok(Self {
            uri: uri(resolved.url())?,
            region: signing_region.unwrap_or_else(|| region.to_owned()),
        })
    }
}

/// The URL of an operation's request (all have the path `/`) at the endpoint `url`.
fn uri(url: &str) -> Result<Uri, String> {
    let mut request = HttpRequest::empty();
    request
        .uri_mut()
        .set_endpoint(url)
        .map_err(|error| error.to_string())?;
    request
        .uri()
        .parse()
        .map_err(|_| "the endpoint is not a URL".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(region: &str, override_url: Option<&str>, table: &str) -> (String, String) {
        let endpoint = Endpoint::resolve(region, override_url, table).unwrap();
        (endpoint.uri.to_string(), endpoint.region)
    }

    fn expected(uri: &str, region: &str) -> (String, String) {
        (uri.to_owned(), region.to_owned())
    }

    #[test]
    fn a_region_has_its_endpoint() {
        for (region, uri) in [
            ("us-east-1", "https://dynamodb.us-east-1.amazonaws.com/"),
            (
                "ap-southeast-1",
                "https://dynamodb.ap-southeast-1.amazonaws.com/",
            ),
            (
                "cn-north-1",
                "https://dynamodb.cn-north-1.amazonaws.com.cn/",
            ),
            (
                "cn-northwest-1",
                "https://dynamodb.cn-northwest-1.amazonaws.com.cn/",
            ),
        ] {
            assert_eq!(resolved(region, None, "weapp"), expected(uri, region));
        }
    }

    #[test]
    fn another_endpoint_replaces_the_regions() {
        for (url, uri) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
            ("https://dynamodb.example", "https://dynamodb.example/"),
            ("http://host:1/path/", "http://host:1/path/"),
            ("http://host:1/path", "http://host:1/path/"),
        ] {
            let endpoint = resolved("cn-north-1", Some(url), "weapp");
            assert_eq!(endpoint, expected(uri, "cn-north-1"));
        }
        assert!(Endpoint::resolve("us-east-1", Some("nonsense"), "weapp").is_err());
    }

    #[test]
    fn the_local_region_is_a_local_endpoint() {
        let local = expected("http://localhost:8000/", "us-east-1");
        assert_eq!(resolved("local", None, "weapp"), local);
    }

    #[test]
    fn a_table_that_is_named_by_its_arn_has_its_accounts_endpoint() {
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/weapp";
        let account = expected(
            "https://123456789012.ddb.us-east-1.amazonaws.com/",
            "us-east-1",
        );
        assert_eq!(resolved("us-east-1", None, arn), account);
    }
}
