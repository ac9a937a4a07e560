//! Holds answers against the OpenAPI document: every one in the tests is of a status, a reason and a
//! form that the document has for its operation.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

/// The document, and what was made of it.
struct Document {
    value: Value,
    /// The schemas under `components`, closed.
    components: Value,
    /// Compiled when they are first needed, by the pointer to them.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let value = local::openapi();
    let mut components = value["components"].clone();
    close(&mut components);
    Document {
        value,
        components,
        validators: Mutex::default(),
    }
});

/// What the document says of a method and a path that was requested, with the path as the document
/// has it.
fn operation(method: &str, path: &str) -> Option<(String, &'static Value)> {
    let path = path.split('?').next()?;
    let parts: Vec<_> = path.split('/').collect();
    let is_template = |template: &str| {
        let wanted: Vec<_> = template.split('/').collect();
        let fits = |(wanted, part): (&&str, &&str)| {
            wanted == part || (wanted.starts_with('{') && !part.is_empty())
        };
        wanted.len() == parts.len() && wanted.iter().zip(&parts).all(fits)
    };
    let paths = DOCUMENT.value["paths"].as_object()?;
    let mut fitting: Vec<_> = paths.iter().filter(|(name, _)| is_template(name)).collect();
    // A path without parameters goes before one with them, as in the router.
    fitting.sort_by_key(|(name, _)| name.matches('{').count());
    let (name, methods) = fitting.first()?;
    let method = method.to_lowercase();
    let operation = methods.get(&method)?;
    Some((format!("{}/{method}", escaped(name)), operation))
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// Refuses members that are not described, which the document allows for the future's sake.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

impl Document {
    /// What a value has to be at this place of the document.
    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let compiled = validators.entry(pointer.to_owned()).or_insert_with(|| {
            let schema = self.value.pointer(pointer);
            let mut schema = schema.unwrap_or_else(|| panic!("no {pointer}")).clone();
            close(&mut schema);
            let schema = json!({"components": self.components, "allOf": [schema]});
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap())
        });
        Arc::clone(compiled)
    }
}

/// What is wrong with a value at this place of the document, which has a schema there.
pub fn errors(pointer: &str, value: &Value) -> Vec<String> {
    let validator = DOCUMENT.validator(pointer);
    let errors = validator.iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Checks an answer to a request for one of the API's routes; others pass.
///
/// # Panics
/// When the document does not have it.
pub fn check(method: &str, path: &str, status: u16, headers: &HeaderMap, body: &[u8]) {
    let Some((pointer, operation)) = operation(method, path) else {
        return;
    };
    let mut response = &operation["responses"][status.to_string()];
    let mut place = format!("/paths/{pointer}/responses/{status}");
    if let Some(shared) = response["$ref"].as_str() {
        shared.trim_start_matches('#').clone_into(&mut place);
        response = DOCUMENT.value.pointer(&place).unwrap();
    }
    let text = String::from_utf8_lossy(body);
    assert!(
        response.is_object(),
        "docs/openapi.json has no {status} for {method} {path}: {text}"
    );
    let has = |name: &str| headers.contains_key(name);
    for name in response["headers"].as_object().into_iter().flatten() {
        let (name, reference) = name;
        let header = reference["$ref"].as_str().unwrap().trim_start_matches('#');
        let is_required = DOCUMENT.value.pointer(header).unwrap()["required"] == true;
        assert!(
            !is_required || has(name),
            "{status} of {method} {path} has no {name}: {headers:?}"
        );
    }
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.map_or("", |value| value.to_str().unwrap());
    if body.is_empty() || content_type.starts_with("application/jose") {
        // Nothing to read, or a sealed answer.
        return;
    }
    let content = &response["content"][content_type];
    assert!(
        content.is_object(),
        "docs/openapi.json has no {content_type} for {status} of {method} {path}: {text}"
    );
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let pointer = format!("{place}/content/{}/schema", escaped(content_type));
    if content_type.contains("json") {
        let errors = errors(&pointer, &value);
        assert!(
            errors.is_empty(),
            "not as in docs/openapi.json, {status} of {method} {path}: {errors:#?} in {text}"
        );
    }
}
