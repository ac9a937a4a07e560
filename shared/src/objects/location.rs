//! Where a bucket is.

/// The URL of a bucket, without a slash at its end: at `endpoint` by its path, else at AWS by its host
/// name.
pub(super) fn bucket_url(bucket: &str, region: &str, endpoint: Option<&str>) -> String {
    if let Some(endpoint) = endpoint {
        return format!("{}/{bucket}", endpoint.trim_end_matches('/'));
    }
    let suffix = if is_china(region) { ".cn" } else { "" };
    format!("https://{bucket}.s3.{region}.amazonaws.com{suffix}")
}

/// AWS's regions in China are run by others, under names and certificates of their own.
pub(super) fn is_china(region: &str) -> bool {
    region.starts_with("cn-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_host_name_at_aws_and_a_path_elsewhere() {
        for (region, endpoint, url) in [
            ("us-east-1", None, "https://b.s3.us-east-1.amazonaws.com"),
            (
                "cn-north-1",
                None,
                "https://b.s3.cn-north-1.amazonaws.com.cn",
            ),
            (
                "local",
                Some("http://127.0.0.1:1/_objects/"),
                "http://127.0.0.1:1/_objects/b",
            ),
        ] {
            assert_eq!(bucket_url("b", region, endpoint), url);
        }
    }
}
