//! The subset of XML that WeChat uses. Document types (and so all custom entities) and processing
//! instructions are rejected; depth and number of elements are limited. An ampersand that begins no
//! known reference is text: people type it, and not all software escapes it.

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};
use serde_json::Value;
use shared::lenient_json::is_layout;

use super::{Fields, FormatError};

const ROOT: &str = "xml";
/// Limits above those of any documented message.
const MAX_DEPTH: usize = 8;
const MAX_ELEMENTS: usize = 1000;

/// An element while it is parsed.
struct Element {
    name: String,
    text: String,
    /// Where the last CDATA section in `text` ends.
    cdata_end: Option<usize>,
    children: Fields,
}

impl Element {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: String::new(),
            cdata_end: None,
            children: Fields::new(),
        }
    }

    /// Blanks before a CDATA section are layout.
    fn add_cdata(&mut self, text: &str) {
        if self.cdata_end.is_none() && is_blank(&self.text) {
            self.text.clear();
        }
        self.text.push_str(text);
        self.cdata_end = Some(self.text.len());
    }

    /// Its text, or its child elements. Text between elements is only formatting, and so are blanks
    /// after a CDATA section.
    fn into_value(mut self) -> Value {
        if let Some(end) = self.cdata_end.filter(|end| is_blank(&self.text[*end..])) {
            self.text.truncate(end);
        }
        if self.children.is_empty() {
            Value::String(self.text)
        } else {
            Value::Object(self.children)
        }
    }

    /// Repeated names make a list.
    fn add(&mut self, child: Self) {
        let (name, value) = (child.name.clone(), child.into_value());
        match self.children.get_mut(&name) {
            None => {
                self.children.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

/// The document as parsed so far.
#[derive(Default)]
struct Document {
    open: Vec<Element>,
    elements: usize,
    root: Option<Element>,
}

impl Document {
    fn start(&mut self, name: &str) -> Result<(), FormatError> {
        self.elements += 1;
        if self.open.len() >= MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return Err(FormatError::Limits);
        }
        if self.root.is_some() || (self.open.is_empty() && name != ROOT) {
            return Err(FormatError::Xml);
        }
        self.open.push(Element::new(name));
        Ok(())
    }

    fn end(&mut self) -> Result<(), FormatError> {
        let element = self.open.pop().ok_or(FormatError::Xml)?;
        match self.open.last_mut() {
            Some(parent) => parent.add(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), FormatError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if is_blank(text) => {}
            None => return Err(FormatError::Xml),
        }
        Ok(())
    }

    fn cdata(&mut self, text: &str) -> Result<(), FormatError> {
        let element = self.open.last_mut().ok_or(FormatError::Xml)?;
        element.add_cdata(text);
        Ok(())
    }

    fn finish(self) -> Result<Fields, FormatError> {
        if !self.open.is_empty() {
            return Err(FormatError::Xml);
        }
        self.root.map(|root| root.children).ok_or(FormatError::Xml)
    }
}

/// The fields of `<xml>…</xml>`. Attributes are ignored.
pub(super) fn read(body: &str) -> Result<Fields, FormatError> {
    let mut reader = Reader::from_str(body);
    reader.config_mut().allow_dangling_amp = true;
    let mut document = Document::default();
    loop {
        match reader.read_event().map_err(|_| FormatError::Xml)? {
            Event::Start(tag) => document.start(tag.name().into_inner())?,
            Event::Empty(tag) => {
                document.start(tag.name().into_inner())?;
                document.end()?;
            }
            Event::End(_) => document.end()?,
            Event::Text(text) => document.text(&text.xml10_content())?,
            Event::CData(text) => document.cdata(&text.xml10_content())?,
            Event::GeneralRef(reference) => document.text(&resolve(&reference))?,
            Event::Comment(_) | Event::Decl(_) => {}
            Event::DocType(_) | Event::PI(_) => return Err(FormatError::Xml),
            Event::Eof => return document.finish(),
        }
    }
}

/// The text of a reference. A number that is no character (half of a surrogate pair, NUL) becomes
/// U+FFFD, and what is no reference (`&nbsp;`, `&D;`) stays as it was written.
fn resolve(reference: &BytesRef<'_>) -> String {
    let name: &str = reference;
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        Err(_) if is_number(name) => char::REPLACEMENT_CHARACTER.to_string(),
        _ => resolve_predefined_entity(name).map_or_else(|| format!("&{name};"), str::to_owned),
    }
}

/// Whether the name of a reference is a number: `#22909` or `#x4f60`.
fn is_number(name: &str) -> bool {
    let Some(number) = name.strip_prefix('#') else {
        return false;
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix))
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_layout)
}

/// Writes the fields in `<xml>`, with text as CDATA, as WeChat does.
pub(super) fn write(fields: &Fields) -> Result<String, FormatError> {
    let mut text = String::from("<xml>");
    write_fields(fields, &mut text)?;
    text.push_str("</xml>");
    Ok(text)
}

fn write_fields(fields: &Fields, out: &mut String) -> Result<(), FormatError> {
    for (name, value) in fields {
        let one = std::slice::from_ref(value);
        for value in if let Value::Array(values) = value {
            values
        } else {
            one
        } {
            write_element(name, value, out)?;
        }
    }
    Ok(())
}

fn write_element(name: &str, value: &Value, out: &mut String) -> Result<(), FormatError> {
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !is_name {
        return Err(FormatError::Unwritable);
    }
    out.extend(["<", name, ">"]);
    match value {
        Value::Null => {}
        Value::String(text) => write_cdata(text, out),
        Value::Object(fields) => write_fields(fields, out)?,
        // XML can't represent a list in a list.
        Value::Array(_) => return Err(FormatError::Unwritable),
        Value::Number(_) | Value::Bool(_) => out.push_str(&value.to_string()),
    }
    out.extend(["</", name, ">"]);
    Ok(())
}

/// A CDATA section can't contain its own end, and a document can't contain most control characters
/// (XML 1.0 §2.2).
fn write_cdata(text: &str, out: &mut String) {
    let allowed = |character: &char| match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => *other >= ' ',
    };
    let text: String = text.chars().filter(allowed).collect();
    out.push_str("<![CDATA[");
    out.push_str(&text.replace("]]>", "]]]]><![CDATA[>"));
    out.push_str("]]>");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(body: &str) -> Value {
        Value::Object(read(body).unwrap())
    }

    #[test]
    fn text_cdata_and_references_are_joined() {
        let body = "<?xml version=\"1.0\"?>\n<!-- no -->\n<xml>\n <a><![CDATA[<b>&amp;]]> c</a>\n <d>&lt;&#x4f60;&#22909;&amp;</d><e/>\n</xml>\n";
        assert_eq!(
            value(body),
            json!({"a": "<b>&amp; c", "d": "<你好&", "e": ""})
        );
    }

    #[test]
    fn blanks_around_cdata_are_layout() {
        let body = "<xml>\n <a>\n  <![CDATA[b]]>\n </a><c>\u{3000}<![CDATA[ d ]]> </c><e> <![CDATA[f]]> <![CDATA[g]]>\t</e><h> i </h></xml>";
        assert_eq!(
            value(body),
            json!({"a": "b", "c": " d ", "e": "f g", "h": " i "})
        );
    }

    #[test]
    fn a_number_that_is_no_character_is_replaced() {
        let body = "<xml><a>b&#xD83D;c&#0;&#1114112;</a></xml>";
        assert_eq!(value(body), json!({"a": "b\u{fffd}c\u{fffd}\u{fffd}"}));
    }

    #[test]
    fn an_ampersand_that_begins_no_reference_is_text() {
        for text in [
            "&",
            "R&D",
            "R & D; yes",
            "&&",
            "a&b&c",
            "&nbsp;",
            "&b;",
            "&;",
            "&#;",
            "&#x;",
            "&#+65;",
            "&#12a;",
            "?a=1&b=2",
        ] {
            let body = format!("<xml><a>{text}</a></xml>");
            assert_eq!(value(&body), json!({"a": text}), "{text}");
        }
        assert_eq!(
            value("<xml><a>R&D &amp; &lt;&<![CDATA[&amp;]]></a></xml>"),
            json!({"a": "R&D & <&&amp;"})
        );
    }

    #[test]
    fn nested_elements_are_objects_and_repeated_names_are_lists() {
        let body = "<xml><result><suggest>risky</suggest><label>20001</label></result><d>1</d><d>2</d><d><x>3</x></d></xml>";
        assert_eq!(
            value(body),
            json!({"result": {"suggest": "risky", "label": "20001"}, "d": ["1", "2", {"x": "3"}]})
        );
    }

    #[test]
    fn malformed_xml_is_rejected() {
        for body in [
            "<xml>",
            "<xml><a></xml>",
            "<xml><a></b></xml>",
            "</xml>",
            "<xml></xml><xml></xml>",
            "<xml></xml>more",
            "more<xml></xml>",
            "<json></json>",
            "<xml></xml>&",
            "&<xml></xml>",
            "<xml>&",
            "<xml><a><![CDATA[</a></xml>",
            "<xml",
            "<?xml version=\"1.0\"?>",
        ] {
            assert_eq!(read(body), Err(FormatError::Xml), "{body}");
        }
    }

    #[test]
    fn entities_are_never_declared_expanded_or_fetched() {
        let laughs =
            "<!DOCTYPE xml [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><xml><c>&b;</c></xml>";
        let file =
            "<!DOCTYPE xml [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><c>&f;</c></xml>";
        for body in [
            laughs,
            file,
            "<!DOCTYPE xml><xml></xml>",
            "<xml><?php x ?></xml>",
        ] {
            assert_eq!(read(body), Err(FormatError::Xml), "{body}");
        }
    }

    #[test]
    fn depth_and_number_of_elements_are_limited() {
        let deep = |depth: usize| {
            format!(
                "<xml>{}{}</xml>",
                "<a>".repeat(depth - 1),
                "</a>".repeat(depth - 1)
            )
        };
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(read(&deep(MAX_DEPTH + 1)), Err(FormatError::Limits));
        assert_eq!(read(&deep(10_000)), Err(FormatError::Limits));
        let wide = |elements: usize| format!("<xml>{}</xml>", "<a/>".repeat(elements - 1));
        assert!(read(&wide(MAX_ELEMENTS)).is_ok());
        assert_eq!(read(&wide(MAX_ELEMENTS + 1)), Err(FormatError::Limits));
    }

    #[test]
    fn a_reply_is_written_like_wechats_messages() {
        let Value::Object(fields) =
            json!({"Content": "a]]>b\u{0}<", "CreateTime": 7, "d": ["x", "y"], "o": {"p": true}})
        else {
            unreachable!()
        };
        let written = write(&fields).unwrap();
        assert_eq!(
            written,
            "<xml><Content><![CDATA[a]]]]><![CDATA[>b<]]></Content><CreateTime>7</CreateTime><d><![CDATA[x]]></d><d><![CDATA[y]]></d><o><p>true</p></o></xml>"
        );
        assert_eq!(read(&written).unwrap()["Content"], "a]]>b<");
    }

    #[test]
    fn an_invalid_name_is_rejected() {
        for name in ["", "1a", "a b", "a><b", "a/"] {
            let fields = Fields::from_iter([(name.to_owned(), Value::Null)]);
            assert_eq!(write(&fields), Err(FormatError::Unwritable), "{name}");
        }
    }
}
