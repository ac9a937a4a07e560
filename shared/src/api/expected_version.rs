//! The version that a change was made for, so that nobody overwrites what they have not seen.

use http::{HeaderMap, header::IF_MATCH};

use super::{Checks, Reason, Rule};

/// A version as an entity tag (RFC 9110 §8.8.3).
#[must_use]
pub fn entity_tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version that a change was made for, and who says so: they are answered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// `If-Match`.
    Header(u64),
    /// The body.
    Body(u64),
}

impl ExpectedVersion {
    /// From the header, the body, or both if they agree; `None` where neither is given, or after a
    /// violation was noted.
    pub fn read(headers: &HeaderMap, body: Option<u64>, checks: &mut Checks) -> Option<Self> {
        let Some(tag) = headers.get(IF_MATCH) else {
            return body.map(Self::Body);
        };
        let header = tag.to_str().ok().and_then(version_of);
        let header = checks.field("If-Match", Rule::Version, header)?;
        let agreed = body.is_none_or(|body| body == header);
        checks.field(
            "version",
            Rule::Version,
            agreed.then_some(Self::Header(header)),
        )
    }

    /// The same where one has to be given.
    pub fn require(headers: &HeaderMap, body: Option<u64>, checks: &mut Checks) -> Option<Self> {
        if body.is_none() && !headers.contains_key(IF_MATCH) {
            return checks.field("version", Rule::Required, None);
        }
        Self::read(headers, body, checks)
    }

    /// The version.
    #[must_use]
    pub fn version(self) -> u64 {
        match self {
            Self::Header(version) | Self::Body(version) => version,
        }
    }

    /// The answer when there is another version (RFC 9110 §13.1.1 for the header).
    #[must_use]
    pub fn mismatch(self) -> Reason {
        match self {
            Self::Header(_) => Reason::VersionMismatch,
            Self::Body(_) => Reason::Conflict,
        }
    }
}

/// The version in an entity tag as [`entity_tag`] makes it. Lists of tags and `*` name no version.
fn version_of(tag: &str) -> Option<u64> {
    let text = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    let version: u64 = text.parse().ok()?;
    (version.to_string() == text).then_some(version)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    type Read = fn(&HeaderMap, Option<u64>, &mut Checks) -> Option<ExpectedVersion>;

    fn read(
        read: Read,
        header: Option<&str>,
        body: Option<u64>,
    ) -> (Option<ExpectedVersion>, bool) {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(IF_MATCH, HeaderValue::from_str(header).unwrap());
        }
        let mut checks = Checks::default();
        let expected = read(&headers, body, &mut checks);
        (expected, checks.is_ok())
    }

    #[test]
    fn a_version_comes_from_the_header_the_body_or_both() {
        for way in [ExpectedVersion::read, ExpectedVersion::require] {
            for (header, body, wanted) in [
                (Some("\"3\""), None, ExpectedVersion::Header(3)),
                (Some("\"3\""), Some(3), ExpectedVersion::Header(3)),
                (None, Some(3), ExpectedVersion::Body(3)),
            ] {
                assert_eq!(read(way, header, body), (Some(wanted), true));
            }
            assert_eq!(read(way, Some("\"3\""), Some(4)), (None, false));
        }
    }

    #[test]
    fn no_version_is_a_violation_only_where_one_is_required() {
        assert_eq!(read(ExpectedVersion::read, None, None), (None, true));
        assert_eq!(read(ExpectedVersion::require, None, None), (None, false));
    }

    #[test]
    fn an_entity_tag_is_one_version_between_quotes() {
        assert_eq!(version_of(&entity_tag(3)), Some(3));
        for tag in [
            "3",
            "*",
            "W/\"3\"",
            "\"3\", \"4\"",
            "\"03\"",
            "\"+3\"",
            "\"x\"",
            "\"\"",
            "\"",
            "",
        ] {
            let expected = read(ExpectedVersion::read, Some(tag), None);
            assert_eq!(expected, (None, false), "{tag:?}");
        }
    }

    #[test]
    fn each_way_to_name_a_version_has_its_answer() {
        let (header, body) = (ExpectedVersion::Header(1), ExpectedVersion::Body(1));
        assert_eq!(header.mismatch(), Reason::VersionMismatch);
        assert_eq!(body.mismatch(), Reason::Conflict);
    }
}
