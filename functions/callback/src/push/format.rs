//! The two formats of a pushed message, JSON and XML. The mini-program's console selects one.

use shared::lenient_json::{is_layout, read_object};

use super::{Fields, FormatError, xml};

/// The format of a message, detected from the body: content types are unreliable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"ToUserName":"…"}`
    Json,
    /// `<xml><ToUserName><![CDATA[…]]></ToUserName></xml>`
    Xml,
}

impl Format {
    /// Parses a message into its format and fields. Leniently: a message is verified before or
    /// after it is parsed, and contains what people typed.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn read(body: &str) -> Result<(Self, Fields), FormatError> {
        let body = body.trim_matches(is_layout);
        match body.bytes().next() {
            Some(b'{') => Ok((Self::Json, read_json(body)?)),
            Some(b'<') => Ok((Self::Xml, xml::read(body)?)),
            _ => Err(FormatError::Neither),
        }
    }

    /// Writes `fields` in this format.
    ///
    /// # Errors
    /// [`FormatError`] when a name is not valid for an XML element.
    pub fn write(self, fields: &Fields) -> Result<String, FormatError> {
        match self {
            Self::Json => serde_json::to_string(fields).map_err(|_| FormatError::Unwritable),
            Self::Xml => xml::write(fields),
        }
    }

    /// The content type of a response in this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }
}

fn read_json(body: &str) -> Result<Fields, FormatError> {
    let fields = read_object(body)?;
    // WeChat's own samples contain names with a leading blank.
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name.trim_matches(is_layout).to_owned(), value))
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else {
            panic!("no object: {value}")
        };
        fields
    }

    #[test]
    fn the_format_is_detected_from_the_body() {
        assert_eq!(
            Format::read(" {\"a\":1}\n").unwrap(),
            (Format::Json, fields(json!({"a": 1})))
        );
        assert_eq!(
            Format::read("\n<xml><a>1</a></xml> ").unwrap(),
            (Format::Xml, fields(json!({"a": "1"})))
        );
        assert_eq!(
            Format::read("\u{feff}<xml><a>1</a></xml>\0").unwrap(),
            (Format::Xml, fields(json!({"a": "1"})))
        );
        for neither in ["", "  ", "[]", "\"a\"", "a=1", "{", "{\"a\":1}}", "null"] {
            assert!(Format::read(neither).is_err(), "{neither}");
        }
    }

    #[test]
    fn a_leading_blank_of_a_name_is_trimmed() {
        for json in [
            r#"{" OpenID":"o1","Event":"e"}"#,
            "{\"\u{200b}OpenID\u{feff}\":\"o1\",\"Event\":\"e\"}",
        ] {
            let (_, read) = Format::read(json).unwrap();
            assert_eq!(read, fields(json!({"OpenID": "o1", "Event": "e"})));
        }
    }

    #[test]
    fn control_characters_in_text_are_kept_in_both_formats() {
        for control in ['\u{1b}', '\u{1d}', '\n', '\u{14}', '\t'] {
            let text = format!("a{control}b");
            for body in [
                format!("{{\"Content\":\"{text}\"}}"),
                format!("<xml><Content><![CDATA[{text}]]></Content></xml>"),
                format!("<xml><Content>{text}</Content></xml>"),
            ] {
                let (_, read) = Format::read(&body).unwrap();
                assert_eq!(read["Content"], text, "{body:?}");
            }
        }
    }

    #[test]
    fn json_that_is_too_deep_is_rejected() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(matches!(Format::read(&deep), Err(FormatError::Json(_))));
    }

    proptest! {
        #[test]
        fn no_input_panics(body in "\\PC{0,200}", json in "\\{\\PC{0,100}", xml in "<[<>/!\\[\\]a-zA-Z&;#?\" -]{0,100}") {
            for body in [body, json, xml] {
                let _ = Format::read(&body);
            }
        }

        #[test]
        fn a_written_message_reads_back_unchanged(names in prop::collection::btree_map("[A-Za-z][A-Za-z0-9_]{0,10}", "[^\\x00-\\x1f\\ufffe\\uffff]{0,30}", 0..6)) {
            let fields: Fields = names.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            for format in [Format::Json, Format::Xml] {
                prop_assert_eq!(Format::read(&format.write(&fields).unwrap()).unwrap(), (format, fields.clone()));
            }
        }
    }
}
