//! How long a page of a list is, as the query says.

use super::{Checks, Rule};

/// Entries of a page if the query does not say.
pub const DEFAULT_PAGE_LIMIT: usize = 20;
/// Entries of a page at most.
pub const MAX_PAGE_LIMIT: usize = 100;

/// The entries of a page at most: 1 to 100. A violation of the field `limit` is recorded in `checks`.
pub fn page_limit(text: Option<&str>, checks: &mut Checks) -> Option<usize> {
    match text {
        Some(text) => checks.field("limit", Rule::Limit, parse(text)),
        None => Some(DEFAULT_PAGE_LIMIT),
    }
}

/// Digits only: a sign or a zero in front would be another spelling of the same page.
fn parse(text: &str) -> Option<usize> {
    let limit: usize = text.parse().ok()?;
    ((1..=MAX_PAGE_LIMIT).contains(&limit) && limit.to_string() == text).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_from_1_to_100() {
        for (text, limit) in [("1", 1), ("20", 20), ("100", 100)] {
            assert_eq!(parse(text), Some(limit));
        }
        for text in [
            "",
            "0",
            "101",
            "-1",
            "+1",
            "01",
            "1.0",
            "1 ",
            "ten",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
