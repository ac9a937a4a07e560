//! Reads JSON that other software wrote carelessly.
//!
//! WeChat puts what people typed into JSON, and not all of its software escapes it. This is for
//! texts whose sender is known already (decrypted, or signed): what strict JSON accepts comes out
//! the same, and the mistakes below are mended first. Crates that do this cover a part of it
//! (control characters, say, but neither backslashes nor numbers), and bring a second parser.
//!
//! | mistake                                                          | read as                       |
//! |------------------------------------------------------------------|-------------------------------|
//! | control characters in strings                                    | themselves                    |
//! | half of a surrogate pair (`\ud83d`)                              | U+FFFD                        |
//! | a backslash that begins no escape                                | itself (`\'` as `'`)          |
//! | a byte order mark, NUL, blanks or invisible characters around values | layout                    |
//! | a comma before a closing bracket                                 | layout                        |
//! | words that are no JSON values (`NaN`, `007`)                     | text                          |
//! | numbers that would lose digits (integers beyond 64 bits) or overflow | text                      |

use std::fmt::Write;

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};
use serde_json::{Map, Value};
use thiserror::Error;

/// Not a JSON object, even when read leniently.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a JSON object: {0}")]
pub struct NotAnObject(String);

/// The object that `text` holds.
///
/// # Errors
/// [`NotAnObject`].
pub fn read_object(text: &str) -> Result<Map<String, Value>, NotAnObject> {
    serde_json::from_str(&to_strict(text)).map_err(|error| NotAnObject(kind(&error)))
}

/// serde's text can quote values, which may be personal; its category and position can't.
fn kind(error: &serde_json::Error) -> String {
    let (category, line, column) = (error.classify(), error.line(), error.column());
    format!("{category:?} error at line {line} column {column}")
}

/// Whether this character around a value is only layout: a blank, a control character, or one that
/// Unicode lets software leave invisible (a byte order mark, zero-width spaces, direction marks).
#[must_use]
pub fn is_layout(character: char) -> bool {
    let is_invisible = |c| CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    character.is_whitespace()
        || character.is_control()
        || (!character.is_ascii() && is_invisible(character))
}

/// The same text as strict JSON, if it can be mended. Takes one pass, and little more than the
/// text's size.
fn to_strict(text: &str) -> String {
    let mut strict = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => copy_string(&rest[1..], &mut strict),
            '}' | ']' => {
                drop_trailing_comma(&mut strict);
                strict.push(first);
                &rest[1..]
            }
            _ if is_layout(first) => {
                strict.push(' ');
                rest.trim_start_matches(is_layout)
            }
            _ if is_word(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                copy_word(&rest[..end], &mut strict);
                &rest[end..]
            }
            _ => {
                strict.push(first);
                &rest[first.len_utf8()..]
            }
        };
    }
    strict
}

fn drop_trailing_comma(strict: &mut String) {
    let filled = strict.trim_end_matches(' ');
    if let Some(before) = filled.strip_suffix(',') {
        strict.truncate(before.len());
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.' | '_')
}

/// A number, `true`, `false` or `null`, or else a text.
fn copy_word(word: &str, strict: &mut String) {
    let is_integer = word.bytes().all(|b| b.is_ascii_digit() || b == b'-') && word != "-0";
    let stays = match serde_json::from_str(word) {
        Ok(Value::Number(number)) => !(is_integer && number.is_f64()),
        Ok(_) => true,
        Err(_) => false,
    };
    if stays {
        strict.push_str(word);
    } else {
        strict.extend(["\"", word, "\""]);
    }
}

/// Copies a string whose opening quote was read, and returns what follows it. Without a closing
/// quote the copy has none either, so that the parser refuses it.
fn copy_string<'a>(text: &'a str, strict: &mut String) -> &'a str {
    strict.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ') {
        strict.push_str(&rest[..at]);
        let (special, after) = rest[at..].split_at(1);
        rest = match special {
            "\"" => {
                strict.push('"');
                return after;
            }
            "\\" => copy_escape(after, strict),
            control => {
                push_escaped(control, strict);
                after
            }
        };
    }
    strict.push_str(rest);
    ""
}

/// Copies an escape whose backslash was read, and returns what follows it.
fn copy_escape<'a>(text: &'a str, strict: &mut String) -> &'a str {
    match text.bytes().next() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
            strict.extend(["\\", &text[..1]]);
            &text[1..]
        }
        Some(b'\'') => text,
        Some(b'u') => copy_unicode_escape(text, strict),
        _ => {
            strict.push_str("\\\\");
            text
        }
    }
}

fn copy_unicode_escape<'a>(text: &'a str, strict: &mut String) -> &'a str {
    let Some(unit) = utf16_unit(text) else {
        strict.push_str("\\\\");
        return text;
    };
    let (escape, after) = text.split_at(5);
    let low = after.strip_prefix('\\').and_then(utf16_unit);
    match (unit, low) {
        (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => {
            let (low, after) = after.split_at(6);
            strict.extend(["\\", escape, low]);
            after
        }
        (0xd800..=0xdfff, _) => {
            strict.push(char::REPLACEMENT_CHARACTER);
            after
        }
        _ => {
            strict.extend(["\\", escape]);
            after
        }
    }
}

/// The UTF-16 code unit of `uXXXX` at the start of `text`.
fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

fn push_escaped(control: &str, strict: &mut String) {
    for byte in control.bytes() {
        // Writing to a `String` never fails.
        let _ = write!(strict, "\\u{byte:04x}");
    }
}

#[cfg(test)]
mod tests;
