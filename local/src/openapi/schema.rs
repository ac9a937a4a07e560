//! Schemas as HTML.

use std::fmt::{Arguments, Write};

use serde_json::Value;

/// Adds formatted text. Writing to a string can't fail.
pub(super) trait Html {
    fn add(&mut self, text: Arguments<'_>);
}

impl Html for String {
    fn add(&mut self, text: Arguments<'_>) {
        // Never an error, for a string.
        let _ = self.write_fmt(text);
    }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text with its paragraphs and lists, and with what stands between backticks as code.
pub(super) fn paragraphs(text: &str) -> String {
    let mut html = String::new();
    let mut items = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(item) = line.strip_prefix("- ") {
            items.add(format_args!("<li>{}", markup(item)));
            continue;
        }
        end_list(&mut html, &mut items);
        html.add(format_args!("<p>{}</p>\n", markup(line)));
    }
    end_list(&mut html, &mut items);
    html
}

fn end_list(html: &mut String, items: &mut String) {
    if !items.is_empty() {
        html.add(format_args!("<ul>{items}</ul>\n"));
        items.clear();
    }
}

/// Text with what stands between backticks as code, and its lines as lines.
pub(super) fn markup(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, part)| {
        let part = escape(part).replace('\n', "<br>");
        if index % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            part
        }
    });
    parts.collect()
}

/// The members of an object, or what the schema is instead.
pub(super) fn members(page: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        page.add(format_args!("<p>{}</p>\n", type_of(schema)));
        return;
    };
    let required = schema["required"].as_array();
    page.push_str("<table>\n");
    for (name, member) in properties {
        let is_required = required.is_some_and(|required| required.iter().any(|it| it == name));
        let always = if is_required { "" } else { "may be left out" };
        page.add(format_args!(
            "<tr><td><code>{}</code><td>{}<td>{always}<td>{}\n",
            escape(name),
            type_of(member),
            markup(member["description"].as_str().unwrap_or_default())
        ));
    }
    page.push_str("</table>\n");
}

/// A value's type, in words.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        let name = escape(path.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(list) = schema[word].as_array() {
            return list.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(value) = schema.get("const") {
        return code(value);
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return "anything".to_owned(),
    };
    let types = types.into_iter().map(|name| match name {
        "array" => format!("list of {}", type_of(&schema["items"])),
        "object" => object(schema),
        name => escape(name),
    });
    let types = types.collect::<Vec<_>>().join(" or ");
    format!("{types}{}", limits(schema))
}

fn object(schema: &Value) -> String {
    let mut text = "object".to_owned();
    if schema["properties"].is_object() {
        text.push('\n');
        members(&mut text, schema);
    } else if schema["additionalProperties"].is_object() {
        let values = type_of(&schema["additionalProperties"]);
        text.add(format_args!(" of {values}"));
    }
    text
}

fn limits(schema: &Value) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("format", ""),
        ("minLength", "at least "),
        ("maxLength", "at most "),
        ("minItems", "at least "),
        ("maxItems", "at most "),
        ("minimum", "from "),
        ("maximum", "to "),
        ("pattern", "like "),
        ("default", "default "),
    ];
    let limits = WORDS.iter().filter_map(|(key, words)| {
        let value = schema.get(key).filter(|value| !value.is_null())?;
        Some(format!(", {words}{}", code(value)))
    });
    limits.collect()
}

fn code(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("<code>{}</code>", escape(&text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_told_in_words() {
        for (schema, wanted) in [
            (
                json!({"$ref": "#/components/schemas/User"}),
                "<a href=\"#schema-User\">User</a>",
            ),
            (
                json!({"type": ["string", "null"], "maxLength": 3}),
                "string or null, at most <code>3</code>",
            ),
            (
                json!({"type": "array", "items": {"type": "integer"}}),
                "list of integer",
            ),
            (json!({"enum": ["a", 1]}), "<code>a</code>, <code>1</code>"),
            (
                json!({"anyOf": [{"const": true}, {"type": "null"}]}),
                "<code>true</code> or null",
            ),
            (json!({}), "anything"),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "object of string",
            ),
        ] {
            assert_eq!(type_of(&schema), wanted, "{schema}");
        }
    }

    #[test]
    fn texts_have_paragraphs_and_lists() {
        assert_eq!(
            paragraphs("One.\n\nTwo:\n- `a`: x\n- b\nThree."),
            "<p>One.</p>\n<p>Two:</p>\n<ul><li><code>a</code>: x<li>b</ul>\n<p>Three.</p>\n"
        );
        assert_eq!(paragraphs(""), "");
    }

    #[test]
    fn text_is_escaped_and_code_marked() {
        assert_eq!(markup("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(escape("\"<&>\""), "&quot;&lt;&amp;&gt;&quot;");
    }
}
