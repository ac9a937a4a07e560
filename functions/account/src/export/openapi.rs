//! The schema of an export, from what the kinds of rows say is shown of them.

use std::borrow::Cow;

use shared::{
    openapi::{JsonSchema, Schema, SchemaGenerator, Value, json},
    users::rows::{PROFILE, ROW_KINDS, RowKind, Shown},
};

use super::page::Page;

impl JsonSchema for Page {
    fn schema_name() -> Cow<'static, str> {
        "ExportPage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let time = json!({"type": "string", "format": "date-time"});
        let cursor = json!({"type": "string", "description": "Where the next page begins; none on the last one."});
        let mut properties = json!({"exportedAt": time, "nextCursor": cursor});
        let mut required = vec!["exportedAt"];
        for kind in ROW_KINDS.iter().filter(|kind| kind.export.has_rows()) {
            properties[kind.export.section] = section(kind);
            required.push(kind.export.section);
        }
        let schema = json!({
            "type": "object",
            "description": "A page of an export. What a row does not have is `null`.",
            "properties": properties,
            "required": required,
        });
        schema.try_into().unwrap_or_default()
    }
}

/// The user of the first page; of each other kind the list of rows.
fn section(kind: &RowKind) -> Value {
    let row = row(kind);
    if *kind == PROFILE {
        json!({"anyOf": [row, {"type": "null"}]})
    } else {
        json!({"type": "array", "items": row})
    }
}

fn row(kind: &RowKind) -> Value {
    let mut properties = json!({});
    for part in kind.export.key_parts {
        properties[*part] = json!({"type": "string"});
    }
    for shown in kind.export.shown {
        let (name, schema) = match *shown {
            Shown::As(name) | Shown::Renamed(_, name) => (name, member(name)),
            Shown::Time(_, name) => (name, time()),
        };
        properties[name] = schema;
    }
    let members = properties.as_object().into_iter().flatten();
    let required: Vec<_> = members.map(|(name, _)| name.clone()).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn time() -> Value {
    json!({"type": ["string", "null"], "format": "date-time"})
}

/// Most attributes are texts. That the others are listed is a test's business: every export in the tests
/// is checked against this schema.
fn member(name: &str) -> Value {
    match name {
        "version" | "gender" | "refreshes" | "loginCount" | "maxBytes" | "attempts" | "errcode" => {
            json!({"type": ["integer", "null"]})
        }
        "unionLinked" => json!({"type": ["boolean", "null"]}),
        "consents" => {
            json!({"type": ["object", "null"], "additionalProperties": {"type": "integer"}})
        }
        name if name == "at" || name.ends_with("At") => time(),
        _ => json!({"type": ["string", "null"]}),
    }
}
