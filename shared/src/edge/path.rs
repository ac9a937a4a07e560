//! Paths, as routes match them.

use std::borrow::Cow;

/// `path` with each unreserved character that a client escaped as that character: `/%68ealth` and
/// `/health` are the same path (RFC 3986 §6.2.2.2). Nothing else is decoded, so that an escaped slash
/// remains part of its segment.
#[must_use]
pub fn normalized_path(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut parts = path.split('%');
    let mut normalized = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // What is not unescaped keeps its percent sign.
        let (character, rest) = unescaped(part).unwrap_or(('%', part));
        normalized.push(character);
        normalized.push_str(rest);
    }
    Cow::Owned(normalized)
}

/// The unreserved character whose two hex digits `part` begins with, and the rest.
fn unescaped(part: &str) -> Option<(char, &str)> {
    let (digits, rest) = part.split_at_checked(2)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let character = char::from(u8::from_str_radix(digits, 16).ok()?);
    let is_unreserved = character.is_ascii_alphanumeric() || "-._~".contains(character);
    is_unreserved.then_some((character, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_unreserved_characters_are_decoded_and_nothing_else() {
        for (path, normalized) in [
            ("/health", "/health"),
            ("/%68ealth", "/health"),
            ("/%68%65alt%68", "/health"),
            ("/a%2Db%5F%7e%2e", "/a-b_~."),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%3Fb%23%20%25", "/a%3Fb%23%20%25"),
            // Not decoded twice.
            ("/%2568ealth", "/%2568ealth"),
            ("/%C3%A9", "/%C3%A9"),
            ("/%", "/%"),
            ("/%6", "/%6"),
            ("/%+8%é", "/%+8%é"),
        ] {
            assert_eq!(normalized_path(path), normalized);
        }
    }
}
