//! Failures as schemas: one for each reason, so that a client can tell from the reason what `data` is.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{headers, operation::Operation};
use crate::{
    api::{Reason, ValidationReport},
    request::Language,
};

/// The schema of a reason in the `data` of a success.
pub struct ReasonName;

impl JsonSchema for ReasonName {
    fn schema_name() -> Cow<'static, str> {
        "Reason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        json_schema!({
            "type": "string",
            "description": "Why a request failed. Programs branch on this, not on `message`. New reasons can be added.",
            "enum": reasons.collect::<Vec<_>>(),
        })
    }
}

/// `code_invalid` as `CodeInvalid`.
pub(super) fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(word).collect()
}

/// The schema's name.
fn name(reason: Reason) -> String {
    format!("{}Failure", pascal(reason.as_str()))
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn schema(reason: Reason, data: &Value) -> Value {
    let code = reason.status().as_u16();
    json!({
        "type": "object",
        "description": reason.message(Language::English),
        "required": ["code", "data", "message", "reason"],
        "properties": {
            "code": {"type": "integer", "const": code},
            "message": {"type": "string", "description": "For people, in the language that `Accept-Language` asks for."},
            "data": data,
            "reason": {"type": "string", "const": reason.as_str()},
        },
        "examples": [{
            "code": code,
            "message": reason.message(Language::Chinese),
            "data": null,
            "reason": reason.as_str(),
        }],
    })
}

/// The schemas of all failures, and of `Failure`, which is any of them.
pub(super) fn schemas(
    operations: &[Operation],
    generator: &mut SchemaGenerator,
) -> Map<String, Value> {
    let mut schemas = Map::new();
    for &reason in Reason::ALL {
        let data = match reason {
            Reason::InvalidRequest => nullable(&ValidationReport::json_schema(generator)),
            _ => json!({"type": "null"}),
        };
        schemas.insert(name(reason), schema(reason, &data));
    }
    for operation in operations {
        for (reason, data) in &operation.explained {
            let data = nullable(&data(generator));
            let name = own_name(operation, *reason);
            schemas.insert(name, schema(*reason, &data));
        }
    }
    schemas.insert("Failure".to_owned(), any_failure(generator));
    schemas
}

fn any_failure(generator: &mut SchemaGenerator) -> Value {
    json!({
        "type": "object",
        "description": "The envelope of every failure.",
        "required": ["code", "data", "message", "reason"],
        "properties": {
            "code": {"type": "integer", "description": "The HTTP status.", "minimum": 400, "maximum": 599},
            "message": {"type": "string", "description": "For people."},
            "data": {"description": "`null`, except for some reasons."},
            "reason": generator.subschema_for::<ReasonName>(),
        },
    })
}

fn nullable(data: &impl serde::Serialize) -> Value {
    json!({"anyOf": [data, {"type": "null"}]})
}

/// The name of a failure that only this operation explains.
fn own_name(operation: &Operation, reason: Reason) -> String {
    let mut letters = operation.id.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    let id: String = first.into_iter().chain(letters).collect();
    format!("{id}{}", name(reason))
}

/// The responses of an operation's failures, by status. Those that many operations have are references
/// into `shared`.
pub(super) fn responses(
    operation: &Operation,
    shared: &mut Map<String, Value>,
) -> Map<String, Value> {
    let reasons = operation.all_reasons();
    let mut responses = Map::new();
    for &first in &reasons {
        let status = first.status();
        let same = reasons.iter().filter(|reason| reason.status() == status);
        let same: Vec<Reason> = same.copied().collect();
        if same.first() == Some(&first) {
            let response = response(operation, &same, shared);
            responses.insert(status.as_u16().to_string(), response);
        }
    }
    responses
}

/// What callers without a usable access token are answered, all in one response.
const UNAUTHENTICATED: [Reason; 4] = [
    Reason::TokenMissing,
    Reason::TokenInvalid,
    Reason::TokenExpired,
    Reason::SessionRevoked,
];

fn response(operation: &Operation, reasons: &[Reason], shared: &mut Map<String, Value>) -> Value {
    let is_own = |reason: &Reason| operation.explained.iter().any(|(own, _)| own == reason);
    let shared_name = match reasons {
        [reason] if !is_own(reason) => pascal(reason.as_str()),
        _ if reasons == UNAUTHENTICATED => "Unauthenticated".to_owned(),
        _ => return described(operation, reasons),
    };
    let path = format!("#/components/responses/{shared_name}");
    let response = || described(operation, reasons);
    shared.entry(shared_name).or_insert_with(response);
    json!({"$ref": path})
}

fn described(operation: &Operation, reasons: &[Reason]) -> Value {
    let named: Vec<(Reason, String)> = reasons
        .iter()
        .map(|reason| {
            let is_own = operation.explained.iter().any(|(own, _)| own == reason);
            let name = if is_own {
                own_name(operation, *reason)
            } else {
                name(*reason)
            };
            (*reason, name)
        })
        .collect();
    let lines = reasons.iter().map(|reason| {
        let message = reason.message(Language::English);
        format!("- `{}`: {message}", reason.as_str())
    });
    let mut headers = vec!["X-Request-Id", "Cache-Control"];
    match reasons.first().map(|reason| reason.status().as_u16()) {
        Some(401) => headers.push("WWW-Authenticate"),
        Some(429) => headers.extend(["Retry-After", "RateLimit", "RateLimit-Policy"]),
        Some(503) => headers.push("Retry-After"),
        _ => {}
    }
    json!({
        "description": lines.collect::<Vec<_>>().join("\n"),
        "headers": headers::references(headers),
        "content": {"application/json": {"schema": alternatives(&named)}},
    })
}

fn alternatives(named: &[(Reason, String)]) -> Value {
    if let [(_, name)] = named {
        return reference(name);
    }
    let mapping: Map<String, Value> = named
        .iter()
        .map(|(reason, name)| {
            let path = format!("#/components/schemas/{name}");
            (reason.as_str().to_owned(), path.into())
        })
        .collect();
    let list: Vec<_> = named.iter().map(|(_, name)| reference(name)).collect();
    json!({"oneOf": list, "discriminator": {"propertyName": "reason", "mapping": mapping}})
}
