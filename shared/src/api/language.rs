//! Negotiates the language of messages.

use http::{HeaderMap, header::ACCEPT_LANGUAGE};

use crate::request::Language;

/// English when `Accept-Language` (RFC 9110 §12.5.4) prefers it to Chinese, else Chinese.
#[must_use]
pub fn preferred_language(headers: &HeaderMap) -> Language {
    let Some(header) = headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Language::Chinese;
    };
    if quality(header, "en") > quality(header, "zh") {
        Language::English
    } else {
        Language::Chinese
    }
}

/// The weight of a language, its regional variants included. Among equal weights the first in the
/// list is preferred, so each position subtracts a little.
fn quality(header: &str, language: &str) -> i32 {
    let weight = |(place, range): (i32, &str)| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.split('-').next()?;
        if !name.eq_ignore_ascii_case(language) {
            return None;
        }
        let q: f32 = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |q| q.parse().ok())?;
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=1000")]
        let thousandths = (q.clamp(0.0, 1.0) * 1000.0) as i32;
        (thousandths > 0).then(|| thousandths * 1000 - place)
    };
    (0..)
        .zip(header.split(','))
        .take(32)
        .filter_map(weight)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_used_only_when_preferred() {
        let language = |value: &'static str| {
            preferred_language(&HeaderMap::from_iter([(
                ACCEPT_LANGUAGE,
                http::HeaderValue::from_static(value),
            )]))
        };
        for english in [
            "en",
            "en-US,en;q=0.9",
            "en,zh;q=0.5",
            "zh;q=0.5, en;q=0.6",
            "fr, en;q=0.1",
            "en,zh",
        ] {
            assert_eq!(language(english), Language::English, "{english}");
        }
        for chinese in [
            "zh-CN",
            "zh,en",
            "zh-CN,zh;q=0.9,en;q=0.8",
            "fr",
            "*",
            "en;q=0",
            "",
            "en;q=x",
            "q=;,;;",
        ] {
            assert_eq!(language(chinese), Language::Chinese, "{chinese}");
        }
        assert_eq!(preferred_language(&HeaderMap::new()), Language::Chinese);
    }
}
