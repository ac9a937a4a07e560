//! Sizes of responses as clients get them.

use serde_json::Value;

/// What API Gateway adds: `HTTP/1.1 200 OK`, `Date`, `Content-Length`, `Connection`,
/// `Apigw-Requestid` and the line that ends the headers.
const ADDED: usize = 137;

/// Bytes of what API Gateway makes of a function's response, headers and body.
#[must_use]
pub fn bytes(response: &Value) -> usize {
    let headers = response["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| name.len() + value.as_str().map_or(0, str::len) + 4);
    let body = response["body"].as_str().unwrap_or_default();
    ADDED + headers.sum::<usize>() + body.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_and_body_count() {
        let response = json!({"headers": {"etag": "abc"}, "body": "{}"});
        assert_eq!(bytes(&response), ADDED + "etag: abc\r\n".len() + 2);
    }
}
