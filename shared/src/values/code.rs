//! The one-time codes that WeChat issues to a mini-program for its server.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A code of `wx.login` or of the phone number button: 1 to 256 printable ASCII characters without
/// blanks. It works once, within five minutes; `Debug` does not show it.
#[derive(Clone)]
pub struct OneTimeCode(SecretString);

impl OneTimeCode {
    /// The most characters.
    pub const MAX_LENGTH: usize = 256;

    /// The code, if it is well-formed.
    #[must_use]
    pub fn parse(text: SecretString) -> Option<Self> {
        let code = text.expose_secret();
        let fits = (1..=Self::MAX_LENGTH).contains(&code.len())
            && code.bytes().all(|it| it.is_ascii_graphic());
        fits.then_some(Self(text))
    }

    /// The code, for calls to WeChat and for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_printable_and_has_1_to_256_characters() {
        let is_code = |text: &str| OneTimeCode::parse(text.into()).is_some();
        assert!(is_code("0a1B-_+/=~") && is_code(&"x".repeat(256)));
        for bad in ["", " ", "a b", "a\n", "代码", &"x".repeat(257)] {
            assert!(!is_code(bad), "{bad:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_code() {
        let code = OneTimeCode::parse("secret".into());
        assert_eq!(format!("{code:?}"), "Some(OneTimeCode(…))");
    }
}
