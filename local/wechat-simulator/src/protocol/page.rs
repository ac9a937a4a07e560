//! The pages that codes and links lead to.

/// A character of a code's scene, and of a link's query.
pub(crate) const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'/'
                | b':'
                | b';'
                | b'='
                | b'?'
                | b'@'
                | b'-'
                | b'.'
                | b'_'
                | b'~'
        )
}

/// Without a slash in front and without a query.
pub(crate) fn is_path(text: &str) -> bool {
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    !text.is_empty() && !text.starts_with('/') && text.chars().all(is_of_path)
}

/// A version of a mini-program that a code or link can open.
pub(crate) fn is_version(text: &str) -> bool {
    ["release", "trial", "develop"].contains(&text)
}
