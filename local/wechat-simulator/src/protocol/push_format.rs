//! The two formats of a pushed message: JSON and XML.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The console's setting for the format of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushFormat {
    /// JSON.
    #[default]
    Json,
    /// XML.
    Xml,
}

impl PushFormat {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }

    pub(crate) fn write(self, fields: &Map<String, Value>) -> String {
        match self {
            Self::Json => Value::Object(fields.clone()).to_string(),
            Self::Xml => {
                let mut text = String::from("<xml>");
                write_elements(fields, &mut text);
                text + "</xml>"
            }
        }
    }
}

/// A list becomes one element for each of its values, all with the same name.
fn write_elements(fields: &Map<String, Value>, out: &mut String) {
    for (name, value) in fields {
        let single = std::slice::from_ref(value);
        for value in value.as_array().map_or(single, Vec::as_slice) {
            out.extend(["<", name, ">"]);
            match value {
                Value::String(text) => {
                    out.extend(["<![CDATA[", &text.replace("]]>", "]]]]><![CDATA[>"), "]]>"]);
                }
                Value::Object(fields) => write_elements(fields, out),
                other => out.push_str(&other.to_string()),
            }
            out.extend(["</", name, ">"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn xml_escapes_text_and_repeats_the_elements_of_lists() {
        let fields = json!({"a": "x]]>y", "n": [7, 8], "o": {"b": "z"}});
        let written = PushFormat::Xml.write(fields.as_object().unwrap());
        assert_eq!(
            written,
            "<xml><a><![CDATA[x]]]]><![CDATA[>y]]></a><n>7</n><n>8</n><o><b><![CDATA[z]]></b></o></xml>"
        );
    }
}
