//! Makes derived schemas plainer for clients and their tools.

use serde_json::{Value, json};

/// The schema of a type that is written: a member that can be left out is never `null`, because what
/// leaves it out is `skip_serializing_if`; and it has no default.
pub(super) fn written(schema: &mut Value) {
    each_object(schema, &mut |schema| {
        let required = schema["required"].clone();
        let is_required = |name: &str| {
            let mut required = required.as_array().into_iter().flatten();
            required.any(|it| it == name)
        };
        for (name, member) in members(schema) {
            if let Some(member) = member.as_object_mut() {
                member.remove("default");
            }
            if !is_required(name) {
                without_null(member);
            }
        }
    });
}

/// Any schema: simple enumerations as such, no formats of Rust's own, no line breaks of the source.
pub(super) fn plain(schema: &mut Value) {
    each_object(schema, &mut |schema| {
        let format = schema["format"].as_str().unwrap_or_default();
        if format.starts_with("uint") {
            remove(schema, "format");
        }
        if let Some(description) = schema["description"].as_str() {
            let paragraphs = description.split("\n\n");
            let paragraphs: Vec<_> = paragraphs.map(unwrapped).collect();
            schema["description"] = paragraphs.join("\n\n").into();
        }
        enumeration(schema);
    });
}

/// A paragraph without the line breaks of the source. An item of a list keeps its own line.
fn unwrapped(paragraph: &str) -> String {
    let items = paragraph.split("\n- ").map(|text| text.replace('\n', " "));
    items.collect::<Vec<_>>().join("\n- ")
}

/// `oneOf` with a text each as one `enum`, with what each of them means.
fn enumeration(schema: &mut Value) {
    let Some(variants) = schema["oneOf"].as_array() else {
        return;
    };
    let texts: Vec<_> = variants.iter().map(|it| it["const"].as_str()).collect();
    let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let meanings = variants.iter().zip(&texts).filter_map(|(variant, text)| {
        let meaning = variant["description"].as_str()?;
        Some(format!("\n- `{text}`: {meaning}"))
    });
    let own = schema["description"].as_str().unwrap_or_default();
    let description = format!("{own}\n{}", meanings.collect::<String>());
    let texts = json!(texts);
    remove(schema, "oneOf");
    schema["type"] = "string".into();
    schema["enum"] = texts;
    schema["description"] = description.trim().into();
}

fn members(schema: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    let properties = schema.get_mut("properties");
    properties
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
}

fn without_null(schema: &mut Value) {
    let is_null = |it: &Value| *it == "null" || it["type"] == "null";
    for word in ["type", "anyOf"] {
        let Some(list) = schema[word].as_array() else {
            continue;
        };
        let kept: Vec<_> = list.iter().filter(|it| !is_null(it)).cloned().collect();
        match kept.as_slice() {
            [only] if word == "type" => schema["type"] = only.clone(),
            [only] => {
                for (name, value) in only.as_object().into_iter().flatten() {
                    schema[name] = value.clone();
                }
                remove(schema, word);
            }
            _ => schema[word] = kept.into(),
        }
    }
}

fn remove(schema: &mut Value, name: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove(name);
    }
}

fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(members) => {
            members
                .values_mut()
                .for_each(|member| each_object(member, change));
            change(value);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_left_out_and_not_null() {
        let mut schema = json!({
            "properties": {
                "always": {"type": ["string", "null"], "default": null},
                "text": {"type": ["string", "null"]},
                "named": {"anyOf": [{"$ref": "#/a"}, {"type": "null"}], "description": "d"},
            },
            "required": ["always"],
        });
        written(&mut schema);
        let properties = json!({
            "always": {"type": ["string", "null"]},
            "text": {"type": "string"},
            "named": {"$ref": "#/a", "description": "d"},
        });
        assert_eq!(schema["properties"], properties);
    }

    #[test]
    fn lines_of_the_source_are_joined_and_items_of_a_list_are_not() {
        let text = "One\nline.\n\n- `a`: long\ntext\n- `b`: x";
        let mut schema = json!({"description": text});
        plain(&mut schema);
        let wanted = "One line.\n\n- `a`: long text\n- `b`: x";
        assert_eq!(schema["description"], wanted);
    }

    #[test]
    fn texts_to_choose_from_are_an_enumeration() {
        let mut schema = json!({
            "description": "Two\nlines.",
            "oneOf": [
                {"const": "a", "type": "string", "description": "The first."},
                {"const": "b", "type": "string"},
            ],
        });
        plain(&mut schema);
        let wanted = json!({
            "description": "Two lines.\n\n- `a`: The first.",
            "type": "string",
            "enum": ["a", "b"],
        });
        assert_eq!(schema, wanted);
        let mut other = json!({"oneOf": [{"$ref": "#/a"}, {"const": "b"}]});
        let before = other.clone();
        plain(&mut other);
        assert_eq!(other, before);
    }
}
