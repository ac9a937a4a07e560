//! `.env`: one `NAME=value` on each line.
//!
//! A value goes to the end of its line, without the blanks and invisible characters around it.
//! Nothing in it is substituted: `$`, `\`, `#` and quotes inside a value stand for themselves. Quotes
//! around a whole value are removed; they keep blanks at its ends, and ` #`, which otherwise starts a
//! comment.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt, io,
    path::Path,
};

use thiserror::Error;

/// Why `.env` can't be used. Never holds a value, nor a line: both can be secret.
#[derive(Debug, Error)]
pub enum DotenvError {
    /// The file exists and can't be read.
    #[error(".env can't be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Lines that are not settings, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<LineError>),
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub struct LineError {
    line: usize,
    name: Option<String>,
    what: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".env, line {}: ", self.line)?;
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// The settings of the file; none if there is no such file.
///
/// # Errors
/// [`DotenvError`].
pub fn read(path: &Path) -> Result<BTreeMap<String, String>, DotenvError> {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes).map_err(DotenvError::Invalid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// The settings of a file with this content: UTF-8, or UTF-16 with a byte order mark; with the line
/// ends of any system.
///
/// # Errors
/// What is wrong with each line that is neither a setting nor a comment.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, Vec<LineError>> {
    let bytes = utf8(bytes);
    let (mut settings, mut errors) = (BTreeMap::<_, (usize, String)>::new(), Vec::new());
    for (line, bytes) in lines(&bytes) {
        let text = String::from_utf8_lossy(bytes);
        let text = trimmed(&text);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = match assignment(text) {
            Ok((name, value)) => (name.to_owned(), value.to_owned()),
            Err((name, what)) => {
                let name = name.map(str::to_owned);
                errors.push(LineError { line, name, what });
                continue;
            }
        };
        let mut refuse = |what: String| {
            let name = Some(name.clone());
            errors.push(LineError { line, name, what });
        };
        if std::str::from_utf8(bytes).is_err() {
            refuse("is not UTF-8 text: save the file as UTF-8".to_owned());
        }
        match settings.entry(name.clone()) {
            Entry::Occupied(first) => {
                let (first, _) = first.get();
                refuse(format!(
                    "is set twice, first in line {first}: keep one of them"
                ));
            }
            Entry::Vacant(entry) => drop(entry.insert((line, value))),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let settings = settings.into_iter();
    Ok(settings.map(|(name, (_, value))| (name, value)).collect())
}

/// The content without a byte order mark. What Windows calls "Unicode" is UTF-16.
fn utf8(bytes: &[u8]) -> Vec<u8> {
    let from_utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, _) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units).into_bytes()
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => rest.to_vec(),
        [0xFF, 0xFE, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        _ => bytes.to_vec(),
    }
}

/// The lines with their numbers, from 1. They end with `\n`, `\r\n` or `\r`.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let next = move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let end = end.unwrap_or(rest.len());
        let (line, ending) = rest.split_at(end);
        rest = ending
            .strip_prefix(b"\r\n")
            .unwrap_or(ending.get(1..).unwrap_or_default());
        Some(line)
    };
    (1..).zip(std::iter::from_fn(next))
}

/// Name and value of a line; or the name, if there is one, and what is wrong.
fn assignment(text: &str) -> Result<(&str, &str), (Option<&str>, String)> {
    let export = text.strip_prefix("export");
    let export = export.filter(|rest| rest.starts_with(char::is_whitespace));
    let text = export.unwrap_or(text);
    let parts = text.split_once('=');
    let Some((name, value)) = parts.filter(|(name, _)| is_name(trimmed(name))) else {
        return Err((None, no_assignment(text).to_owned()));
    };
    let name = trimmed(name);
    match content(value) {
        Ok(value) => Ok((name, value)),
        Err(what) => Err((Some(name), what.to_owned())),
    }
}

/// What is wrong with a line that has no name in front of its first `=`.
fn no_assignment(text: &str) -> &'static str {
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    let first = first.to_ascii_lowercase();
    let follows_name = |separator: char| {
        let parts = text.split_once(separator);
        parts.filter(|(name, _)| is_name(trimmed(name)))
    };
    if text.contains('\0') {
        "contains NUL characters: save the file as UTF-8"
    } else if matches!(first.as_str(), "set" | "setx" | "setenv") || first.starts_with("$env:") {
        "is not NAME=value: a line starts with the name, it is no command of a shell"
    } else if follows_name('＝').is_some() || (text.contains('＝') && !text.contains('=')) {
        "has a full-width ＝: type a plain ="
    } else if follows_name(':').is_some_and(|(_, value)| value.starts_with(char::is_whitespace))
        || follows_name('：').is_some()
    {
        "is not NAME=value: type = in place of the colon"
    } else {
        "is not NAME=value"
    }
}

/// Without the blanks around it, and without what editors and copied text add invisibly: control
/// characters (Ctrl-Z is the end of a file of DOS), zero-width characters, byte order marks. NUL
/// stays: it shows another encoding.
fn trimmed(text: &str) -> &str {
    let invisible = |character: char| {
        character.is_whitespace()
            || (character.is_control() && character != '\0')
            || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
    };
    text.trim_matches(invisible)
}

fn is_name(text: &str) -> bool {
    let mut rest = text.chars();
    rest.next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && rest.all(|next| next.is_ascii_alphanumeric() || next == '_')
}

/// A value without blanks, quotes and comment.
fn content(text: &str) -> Result<&str, &'static str> {
    let value = trimmed(text);
    if value.contains('\0') {
        return Err("contains NUL characters: save the file as UTF-8");
    }
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            unquoted(value, quote).ok_or("has a quote that is not closed on this line")
        }
        Some('“' | '”' | '‘' | '’') => {
            Err("has typographic quotes around it: use plain ones (\"), or none")
        }
        _ => Ok(trimmed(without_comment(text))),
    }
}

/// The text up to the first quote with nothing but a comment behind it.
fn unquoted(value: &str, quote: char) -> Option<&str> {
    let inside = value.strip_prefix(quote)?;
    let closing = inside.match_indices(quote).find(|(at, _)| {
        let behind = &inside[at + quote.len_utf8()..];
        trimmed(without_comment(behind)).is_empty()
    });
    closing.map(|(at, _)| &inside[..at])
}

/// A comment starts with a `#` behind a blank.
fn without_comment(text: &str) -> &str {
    let mut blank_before = false;
    for (at, character) in text.char_indices() {
        if character == '#' && blank_before {
            return &text[..at];
        }
        blank_before = character.is_whitespace();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let settings = parse(line.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(settings.len(), 1, "{line}");
        settings.into_values().next().unwrap()
    }

    fn errors(text: &[u8]) -> Vec<String> {
        let errors = parse(text).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_goes_to_the_end_of_its_line() {
        for (line, wanted) in [
            ("A=300/min burst 100", "300/min burst 100"),
            ("A=  b  ", "b"),
            ("A = b", "b"),
            ("A=b=c==", "b=c=="),
            ("A=", ""),
            ("A=a'b\"c", "a'b\"c"),
            ("A=wx1:a, wx2:b", "wx1:a, wx2:b"),
            ("export A=b c", "b c"),
            ("\texport\tA=b", "b"),
            ("exported=b", "b"),
        ] {
            assert_eq!(value(line), wanted, "{line}");
        }
    }

    #[test]
    fn invisible_characters_around_a_line_and_its_parts_are_no_part_of_it() {
        for (line, wanted) in [
            ("A=b\u{1a}", "b"),
            ("A=b\n\u{1a}", "b"),
            ("\u{200b}A=b\u{200b}", "b"),
            ("# c\n\u{feff}A=b\u{feff} ", "b"),
            ("A\u{200b}=\u{feff}b", "b"),
            ("\u{7f}export A=b\u{1b}", "b"),
            ("A=\u{200b}\" b \"\u{200b}", " b "),
            ("A=b\u{200b} # c", "b"),
            ("A=b\u{200b}c", "b\u{200b}c"),
        ] {
            assert_eq!(value(line), wanted, "{line:?}");
        }
    }

    #[test]
    fn lines_in_the_form_of_other_tools_get_a_hint_and_are_not_quoted() {
        let command = "is not NAME=value: a line starts with the name, it is no command of a shell";
        let colon = "is not NAME=value: type = in place of the colon";
        let full_width = "has a full-width ＝: type a plain =";
        for (line, wanted) in [
            ("JWT_SECRETS＝hunter2", full_width),
            ("JWT_SECRETS ＝ hunter2==", full_width),
            ("hunter2 ＝ hunter2＝", full_width),
            ("export A＝hunter2", full_width),
            ("set A=hunter2", command),
            ("SET A=hunter2", command),
            ("setx A hunter2", command),
            ("$env:A=hunter2", command),
            ("$Env:A = \"hunter2\"", command),
            ("A: hunter2", colon),
            ("A: hunter2==", colon),
            ("A：hunter2", colon),
            ("hunter2:hunter2", "is not NAME=value"),
        ] {
            let errors = errors(line.as_bytes());
            assert_eq!(errors, [format!(".env, line 1: {wanted}")], "{line}");
        }
    }

    #[test]
    fn nothing_is_substituted() {
        for secret in [
            "aB$cdEF",
            "${HOME}",
            "$(id)",
            "`id`",
            r"a\nb\$c\",
            "%24",
            "~",
            "!x",
            "a#b",
            "#b",
        ] {
            for quotes in ["", "\"", "'"] {
                let line = format!("A={quotes}{secret}{quotes}");
                assert_eq!(value(&line), secret, "{line}");
            }
        }
    }

    #[test]
    fn quotes_around_a_value_keep_its_blanks_and_number_signs() {
        for (line, wanted) in [
            ("A=\" b # c \"", " b # c "),
            ("A='b' # it's mine", "b"),
            ("A=\"b\"#c\"", "b\"#c"),
            ("A=\"a\"b\"", "a\"b"),
            ("A=\"\"", ""),
        ] {
            assert_eq!(value(line), wanted, "{line}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let text = "\n# A=b\n  # c\n\t\nA=b # d\nB= # e\n";
        let settings = parse(text.as_bytes()).unwrap();
        let wanted = [("A", "b"), ("B", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(settings, BTreeMap::from(wanted));
    }

    #[test]
    fn files_of_every_editor_are_read() {
        let text = "# 小程序\nA=值\nB=2";
        let utf16 = |mark: u16, bytes: fn(u16) -> [u8; 2]| {
            let units = std::iter::once(mark).chain(text.encode_utf16());
            units.flat_map(bytes).collect::<Vec<_>>()
        };
        for content in [
            text.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            text.replace('\n', "\r\n").into_bytes(),
            text.replace('\n', "\r").into_bytes(),
            utf16(0xFEFF, u16::to_le_bytes),
            utf16(0xFEFF, u16::to_be_bytes),
        ] {
            let settings = parse(&content).unwrap();
            assert_eq!(
                (settings["A"].as_str(), settings["B"].as_str()),
                ("值", "2")
            );
        }
    }

    #[test]
    fn errors_name_line_and_variable_and_no_value() {
        for (text, wanted) in [
            ("A=1\r\n\r\nhunter2", "line 3: is not NAME=value"),
            ("hunter2 hunter2=x", "line 1: is not NAME=value"),
            ("=hunter2", "line 1: is not NAME=value"),
            (
                "A=\"hunter2",
                "line 1: A: has a quote that is not closed on this line",
            ),
            (
                "\nA=“hunter2”",
                "line 2: A: has typographic quotes around it",
            ),
            (
                "A=x\n\nA=hunter2",
                "line 3: A: is set twice, first in line 1",
            ),
            ("h\0=\0u\0", "line 1: contains NUL characters"),
        ] {
            let errors = errors(text.as_bytes());
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(
                errors[0].starts_with(&format!(".env, {wanted}")),
                "{errors:?}"
            );
            assert!(!errors[0].contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn other_encodings_are_refused_only_in_values() {
        assert!(parse(b"# \xD6\xD0\xCE\xC4\nA=b").is_ok());
        let errors = errors(b"A=b\nB=\xD6\xD0\n");
        assert_eq!(
            errors,
            [".env, line 2: B: is not UTF-8 text: save the file as UTF-8"]
        );
    }

    #[test]
    fn all_wrong_lines_are_named() {
        assert_eq!(errors(b"a b\nA=1\nc\n").len(), 2);
    }
}
