//! Values of a profile that a client may set: a value of these types is valid. Each is normalized
//! first and checked then, so that what was read can always be sent back.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{BidiControl, DefaultIgnorableCodePoint, GeneralCategory, PrependedConcatenationMark},
};
use url::Url;

/// At most 32 characters (not bytes), trimmed, with at least one visible character, and without
/// control characters, line separators and direction marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nickname(String);

impl Nickname {
    /// The most characters (not bytes).
    pub const MAX_CHARACTERS: usize = 32;

    /// The trimmed name, if it is valid and has at least `min` characters
    /// (`NICKNAME_MIN_CHARACTERS`).
    #[must_use]
    pub fn parse(text: &str, min: usize) -> Option<Self> {
        let text = text.trim();
        let fits = (min..=Self::MAX_CHARACTERS).contains(&text.chars().count());
        let valid = fits && text.chars().any(is_visible) && !text.chars().any(deceives);
        valid.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, line separators, and marks that change the direction of text: they can make
/// a name look like another one.
fn deceives(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let breaks_line = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    breaks_line || CodePointSetData::new::<BidiControl>().contains(character)
}

/// Whether a character shows anything by itself. Invisible ones are allowed next to visible ones:
/// joiners combine several emoji into one.
fn is_visible(character: char) -> bool {
    // Symbols by their category, but their pictures are empty: a cell of Braille without dots, and
    // a note without a head.
    let is_empty_picture = matches!(character, '\u{2800}' | '\u{1d159}');
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character);
    let shows_format = CodePointSetData::new::<PrependedConcatenationMark>().contains(character);
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let is_format = category == GeneralCategory::Format && !shows_format;
    !(character.is_whitespace() || ignorable || is_format || is_empty_picture)
}

/// An https URL of at most 1,024 bytes as it is stored, without credentials in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarUrl(String);

impl AvatarUrl {
    /// The most bytes, once it is normalized.
    pub const MAX_BYTES: usize = 1024;

    /// The normalized URL, if it is valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let plain = url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.as_str().len() <= Self::MAX_BYTES;
        plain.then(|| Self(url.into()))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host; none where a port is named.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let (authority, _) = self.0.strip_prefix("https://")?.split_once('/')?;
        // A default port is not written, and no other URL has a colon there but an IPv6 address.
        (!authority.contains(':')).then_some(authority)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nickname(text: &str) -> Option<Nickname> {
        Nickname::parse(text, 2)
    }

    #[test]
    fn a_nickname_has_2_to_32_characters() {
        assert!(nickname("小明").is_some());
        assert!(nickname(&"明".repeat(32)).is_some());
        assert!(nickname(&"明".repeat(33)).is_none());
        assert!(nickname("明").is_none());
        assert_eq!(nickname("  小明 ").unwrap().as_str(), "小明");
    }

    #[test]
    fn the_least_length_is_a_setting() {
        assert_eq!(Nickname::parse(" 明 ", 1).unwrap().as_str(), "明");
        for empty in ["", " ", "\u{200b}", "\u{3164}"] {
            assert!(Nickname::parse(empty, 1).is_none(), "{empty:?}");
        }
        assert!(Nickname::parse("小明", 3).is_none());
    }

    #[test]
    fn a_nickname_is_free_of_controls_line_separators_and_direction_marks() {
        for bad in [
            "a\0b",
            "a\nb",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\u{202e}b",
            "a\u{061c}b",
            "a\u{200e}b",
            "a\u{2066}b",
        ] {
            assert!(nickname(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_nickname_of_invisible_characters_is_rejected() {
        let invisible = [
            '\u{34f}'..='\u{34f}',
            '\u{ad}'..='\u{ad}',
            '\u{115f}'..='\u{1160}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200d}',
            '\u{2060}'..='\u{2065}',
            '\u{206a}'..='\u{206f}',
            '\u{2800}'..='\u{2800}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff0}'..='\u{fffb}',
            '\u{13430}'..='\u{1343f}',
            '\u{1bca0}'..='\u{1bca3}',
            '\u{1d159}'..='\u{1d159}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0001}'..='\u{e007f}',
            '\u{e0100}'..='\u{e01ef}',
            ' '..=' ',
            '\u{a0}'..='\u{a0}',
            '\u{3000}'..='\u{3000}',
        ];
        for character in invisible.into_iter().flatten() {
            let name = format!("{character}\u{200b}{character}");
            assert!(nickname(&name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn invisible_characters_may_stand_next_to_visible_ones() {
        for good in [
            "👨\u{200d}👩\u{200d}👧 家",
            "❤\u{fe0f}",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "می\u{200c}خواهم",
            "\u{600}1",
            "e\u{301}",
        ] {
            assert!(nickname(good).is_some(), "{good:?}");
        }
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

    #[test]
    fn the_length_of_an_avatar_is_that_of_what_is_stored() {
        let url = |letters: usize| format!("https://x.example/{}", "é".repeat(letters));
        // 18 bytes, and 6 for each letter.
        assert_eq!(AvatarUrl::parse(&url(167)).unwrap().as_str().len(), 1020);
        assert!(AvatarUrl::parse(&url(168)).is_none());
        // What normalization removes does not count.
        let dots = format!("https://x.example/{}", "./".repeat(600));
        assert_eq!(
            AvatarUrl::parse(&dots).unwrap().as_str(),
            "https://x.example/"
        );
    }

    proptest! {
        #[test]
        fn a_stored_value_can_be_sent_back(
            name in prop_oneof!["\\PC{0,40}", "[\\s\u{200b}\u{3164}ab明]{0,40}", any::<String>()],
            url in prop_oneof!["https://\\PC{0,40}", "https:/{0,3}[a-z.]{1,9}(:[0-9]{1,3})?[/\\\\][ -~é\t\n]{0,60}", any::<String>()],
        ) {
            for min in [1, 2] {
                if let Some(name) = Nickname::parse(&name, min) {
                    prop_assert_eq!(Nickname::parse(name.as_str(), min), Some(name));
                }
            }
            if let Some(url) = AvatarUrl::parse(&url) {
                prop_assert!(url.as_str().len() <= AvatarUrl::MAX_BYTES);
                prop_assert_eq!(AvatarUrl::parse(url.as_str()), Some(url));
            }
        }
    }
}
