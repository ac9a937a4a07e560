//! The two forms of a pushed message: JSON, or XML. Which of them, the mini-program's console
//! decides.

use super::{Fields, FormatError, xml};

/// How a message is written. The body itself says so: content types can't be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"ToUserName":"…"}`
    Json,
    /// `<xml><ToUserName><![CDATA[…]]></ToUserName></xml>`
    Xml,
}

impl Format {
    /// The fields of a message, and how it was written.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn read(body: &str) -> Result<(Self, Fields), FormatError> {
        let body = body.trim_ascii();
        match body.bytes().next() {
            Some(b'{') => Ok((Self::Json, read_json(body)?)),
            Some(b'<') => Ok((Self::Xml, xml::read(body)?)),
            _ => Err(FormatError),
        }
    }

    /// `fields` in this form.
    ///
    /// # Errors
    /// [`FormatError`] when a name can't be an XML element's.
    pub fn write(self, fields: &Fields) -> Result<String, FormatError> {
        match self {
            Self::Json => serde_json::to_string(fields).map_err(|_| FormatError),
            Self::Xml => xml::write(fields),
        }
    }

    /// The content type of an answer in this form.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }
}

fn read_json(body: &str) -> Result<Fields, FormatError> {
    let fields: Fields = serde_json::from_str(body).map_err(|_| FormatError)?;
    // WeChat's own samples have names with a blank in front.
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name.trim().to_owned(), value))
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
    fn the_body_says_what_it_is() {
        assert_eq!(
            Format::read(" {\"a\":1}\n").unwrap(),
            (Format::Json, fields(json!({"a": 1})))
        );
        assert_eq!(
            Format::read("\n<xml><a>1</a></xml> ").unwrap(),
            (Format::Xml, fields(json!({"a": "1"})))
        );
        for neither in ["", "  ", "[]", "\"a\"", "a=1", "{", "{\"a\":1}}", "null"] {
            assert_eq!(Format::read(neither), Err(FormatError), "{neither}");
        }
    }

    #[test]
    fn a_blank_before_a_name_is_none_of_it() {
        let (_, read) = Format::read(r#"{" OpenID":"o1","Event":"e"}"#).unwrap();
        assert_eq!(read, fields(json!({"OpenID": "o1", "Event": "e"})));
    }

    #[test]
    fn json_that_is_too_deep_is_refused() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Format::read(&deep), Err(FormatError));
    }

    proptest! {
        #[test]
        fn nothing_panics(body in "\\PC{0,200}", json in "\\{\\PC{0,100}", xml in "<[<>/!\\[\\]a-zA-Z&;#?\" -]{0,100}") {
            for body in [body, json, xml] {
                let _ = Format::read(&body);
            }
        }

        #[test]
        fn what_is_written_is_read(names in prop::collection::btree_map("[A-Za-z][A-Za-z0-9_]{0,10}", "[^\\x00-\\x1f\\ufffe\\uffff]{0,30}", 0..6)) {
            let fields: Fields = names.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            for format in [Format::Json, Format::Xml] {
                prop_assert_eq!(Format::read(&format.write(&fields).unwrap()).unwrap(), (format, fields.clone()));
            }
        }
    }
}
