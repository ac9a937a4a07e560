//! A phone number as WeChat reports it, normalized.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::Error};

/// The maximum of E.164, country code included.
const MAX_DIGITS: usize = 15;
/// The shortest national numbers in use.
const MIN_NATIONAL: usize = 4;

/// A country's calling code. WeChat sends it as a string, and sometimes as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryCode(String);

impl<'de> Deserialize<'de> for CountryCode {
    fn deserialize<D: Deserializer<'de>>(code: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(u16),
        }
        let text = match Form::deserialize(code)? {
            Form::Text(text) => text,
            Form::Number(number) => number.to_string(),
        };
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a calling code"))
    }
}

impl CountryCode {
    /// One to three digits, the first not 0 (ITU-T E.164), with or without a `+` in front.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let fits = (1..=3).contains(&digits.len()) && is_digits(digits) && !digits.starts_with('0');
        fits.then(|| Self(digits.to_owned()))
    }
}

/// A well-formed number: `13800138000` in mainland China, `+` with country code and national number
/// (E.164) elsewhere. `Debug` does not show it.
#[derive(Clone)]
pub struct Phone(SecretString);

impl Phone {
    /// The number, if it is well-formed: `^1[3-9]\d{9}$` in mainland China; elsewhere at least 4
    /// national digits, and at most 15 with the country code.
    #[must_use]
    pub fn parse(country: &CountryCode, national: &str) -> Option<Self> {
        if !is_digits(national) {
            return None;
        }
        let CountryCode(country) = country;
        if country == "86" {
            return is_mainland_mobile(national).then(|| Self(national.into()));
        }
        let fits = national.len() >= MIN_NATIONAL && country.len() + national.len() <= MAX_DIGITS;
        fits.then(|| Self(format!("+{country}{national}").into()))
    }

    /// A number as an operator writes it: eleven digits of mainland China, or `+` with country code
    /// and national number. Blanks and hyphens in it don't matter.
    #[must_use]
    pub fn parse_international(text: &str) -> Option<Self> {
        let number: String = text
            .chars()
            .filter(|char| !char.is_whitespace() && *char != '-')
            .collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        let national = match number.strip_prefix("+86") {
            Some(national) => national,
            None if number.len() == digits.len() => digits,
            // Where the country code ends does not matter: the number is stored as one text.
            None => {
                let fits = (MIN_NATIONAL + 1..=MAX_DIGITS).contains(&digits.len());
                let fits = fits && is_digits(digits) && !digits.starts_with('0');
                return fits.then(|| Self(number.into()));
            }
        };
        let fits = is_digits(national) && is_mainland_mobile(national);
        fits.then(|| Self(national.into()))
    }

    /// A number that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(number: SecretString) -> Self {
        Self(number)
    }

    /// The number, for encryption.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The number with most of its digits hidden, for people other than its owner: `138****8000`.
    #[must_use]
    pub fn masked(&self) -> String {
        let number = self.expose();
        // A short number has so few digits that its end is all that can be shown.
        let (start, end) = match number.len() {
            11.. => (3, 4),
            _ => (0, 2),
        };
        let hidden = start..number.len().saturating_sub(end);
        let characters = number.chars().enumerate();
        let shown = characters.map(|(at, char)| if hidden.contains(&at) { '*' } else { char });
        shown.collect()
    }

    /// The number, for its owner and for the table.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_mainland_mobile(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    bytes.len() == 11 && bytes[0] == b'1' && (b'3'..=b'9').contains(&bytes[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phone(country: &str, national: &str) -> Option<String> {
        Phone::parse(&CountryCode::parse(country)?, national).map(|phone| phone.expose().to_owned())
    }

    #[test]
    fn an_operator_writes_a_number_with_or_without_its_country() {
        let parse = |text| Phone::parse_international(text).map(|phone| phone.expose().to_owned());
        for (text, number) in [
            ("13800138000", "13800138000"),
            ("+8613800138000", "13800138000"),
            (" +86 138-0013-8000\n", "13800138000"),
            ("+85251234567", "+85251234567"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(number), "{text}");
        }
        for text in [
            "",
            "+",
            "+86",
            "8613800138000",
            "12345678901",
            "+1",
            "+0123456",
            "+8621345",
            "+1234567890123456",
            "+852x1234567",
            "１３８００１３８０００",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_mainland_number_is_eleven_digits() {
        assert_eq!(phone("86", "13800138000").as_deref(), Some("13800138000"));
        for bad in [
            "1380013800",
            "138001380000",
            "12800138000",
            "23800138000",
            "+8613800138000",
            "1380013800a",
            "",
        ] {
            assert_eq!(phone("86", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_foreign_number_includes_its_country_code() {
        assert_eq!(phone("852", "51234567").as_deref(), Some("+85251234567"));
        assert_eq!(phone("+1", "2025550123").as_deref(), Some("+12025550123"));
        for bad in ["123", "1234567890123456", "2025 550", "１２３４５"] {
            assert_eq!(phone("1", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_country_code_is_a_string_or_a_number() {
        for json in [r#""86""#, "86", r#""+86""#] {
            assert_eq!(
                serde_json::from_str::<CountryCode>(json).unwrap(),
                CountryCode("86".into()),
                "{json}"
            );
        }
        for json in [
            r#""""#,
            r#""0""#,
            "0",
            r#""1234""#,
            "-86",
            "8.6",
            "null",
            "[]",
        ] {
            assert!(serde_json::from_str::<CountryCode>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_masked_number_hides_at_least_four_digits() {
        for (number, masked) in [
            ("13800138000", "138****8000"),
            ("+85251234567", "+85*****4567"),
            ("+12025550123", "+12*****0123"),
            ("+11234", "****34"),
            ("+123456789", "********89"),
        ] {
            let phone = Phone::from_stored(number.into());
            assert_eq!(phone.masked(), masked, "{number}");
        }
    }

    #[test]
    fn debug_shows_no_digit() {
        let phone = Phone::parse(&CountryCode("86".into()), "13800138000");
        assert_eq!(format!("{phone:?}"), "Some(Phone(…))");
    }

    proptest! {
        #[test]
        fn different_numbers_never_normalize_to_the_same_text(a in "[1-9][0-9]{0,2}", b in "[1-9][0-9]{0,2}", n in "[0-9]{4,12}", m in "[0-9]{4,12}") {
            if let (Some(left), Some(right)) = (phone(&a, &n), phone(&b, &m)) {
                // Country code and national number together identify a line.
                prop_assert_eq!(left == right, (a == "86") == (b == "86") && format!("{a}{n}") == format!("{b}{m}"));
            }
        }
    }
}
