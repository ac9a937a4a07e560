//! Values of a profile that a client may set: a value of these types is valid.

use url::Url;

/// 2 to 32 characters (not bytes), trimmed, with at least one visible character and no control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nickname(String);

impl Nickname {
    /// The trimmed name, if it is valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (2..=32).contains(&text.chars().count());
        let deceives = text
            .chars()
            .any(|character| character.is_control() || reverses_text(character));
        let shows = text
            .chars()
            .any(|character| !character.is_whitespace() && !is_blank(character));
        (fits && shows && !deceives).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Marks that change the direction of text: they can make a name look like another one.
fn reverses_text(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Invisible characters. They are allowed next to visible ones: joiners combine several emoji into
/// one.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{00ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
    )
}

/// An https URL of at most 1,024 bytes, without credentials in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarUrl(String);

impl AvatarUrl {
    /// The normalized URL, if it is valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= 1024)?;
        let plain = url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none();
        plain.then(|| Self(url.into()))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nickname_has_2_to_32_characters() {
        assert!(Nickname::parse("小明").is_some());
        assert!(Nickname::parse(&"明".repeat(32)).is_some());
        assert!(Nickname::parse(&"明".repeat(33)).is_none());
        assert!(Nickname::parse("明").is_none());
        assert_eq!(Nickname::parse("  小明 ").unwrap().as_str(), "小明");
    }

    #[test]
    fn a_nickname_is_visible_and_free_of_direction_marks() {
        for bad in [
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "a\u{061c}b",
            "\u{2060}\u{2060}\u{3164}",
            "\u{200d}\u{200d}",
            "   ",
        ] {
            assert!(Nickname::parse(bad).is_none(), "{bad:?}");
        }
        assert!(
            Nickname::parse("👨\u{200d}👩\u{200d}👧 家").is_some(),
            "an emoji of several"
        );
    }

    #[test]
    fn an_avatar_is_an_https_url() {
        assert!(AvatarUrl::parse("https://thirdwx.qlogo.cn/mmopen/vi_32/a/132").is_some());
        let long = format!("https://a.cn/{}", "x".repeat(1024));
        for bad in [
            "http://a.cn/x",
            "javascript:alert(1)",
            "https://u:p@a.cn/",
            "https://",
            "",
            &long,
        ] {
            assert!(AvatarUrl::parse(bad).is_none(), "{bad:?}");
        }
    }
}
