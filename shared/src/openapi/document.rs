//! The document.

use std::collections::BTreeMap;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    failures, headers,
    operation::{Access, Answer, Content, Operation, Parameter, Place, Tag},
    tidy,
};

const DESCRIPTION: &str = "The API of weapp-serverless, a backend for WeChat mini-programs. Made from the code; \
`docs/api.md` explains it.\n\n\
Every answer is an envelope: `{code, message, data}`, and `reason` in failures; the key set, 304 and what WeChat's \
servers are answered are the exceptions. `message` is Chinese, or English when `Accept-Language` prefers it.\n\n\
Every operation with a body also takes it as a JWE (`application/jose` or `application/jose+json`) and answers in the \
same form, where transport keys are set: `docs/encryption.md`.";

/// One generator for what is read, and one for what is written: a type can look different.
struct Generators {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Generators {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn definitions(mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        all.values_mut().for_each(tidy::written);
        for (name, read) in self.read.take_definitions(true) {
            let written = all.entry(name).or_insert_with(|| read.clone());
            debug_assert_eq!(*written, read, "two schemas of one name");
        }
        all
    }
}

/// The document of these operations. Its keys are sorted, so that the same code gives the same text.
#[must_use]
pub fn document(operations: &[Operation], version: &str) -> Value {
    let mut generators = Generators::new();
    let mut paths = BTreeMap::<&str, Map<String, Value>>::new();
    let mut responses = Map::new();
    for operation in operations {
        let described = describe(operation, &mut generators, &mut responses);
        let methods = paths.entry(operation.path).or_default();
        methods.insert(operation.method.to_lowercase(), described);
    }
    let mut schemas = failures::schemas(operations, &mut generators.written);
    schemas.extend(generators.definitions());
    let tags = Tag::ALL.map(|tag| {
        let (name, description) = tag.text();
        json!({"name": name, "description": description})
    });
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "weapp-serverless",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:9000", "description": "`make run`"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": headers::components(),
            "securitySchemes": {"accessToken": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "`token` of a login or a refresh.",
            }},
        },
    });
    tidy::plain(&mut document);
    document.sort_all_objects();
    document
}

fn describe(
    operation: &Operation,
    generators: &mut Generators,
    shared: &mut Map<String, Value>,
) -> Value {
    let mut described = Map::from_iter([
        ("operationId".to_owned(), operation.id.into()),
        ("tags".to_owned(), json!([operation.tag.text().0])),
        ("summary".to_owned(), operation.summary.into()),
    ]);
    if !operation.details.is_empty() {
        described.insert("description".to_owned(), operation.details.into());
    }
    if operation.access != Access::Anyone {
        described.insert("security".to_owned(), json!([{"accessToken": []}]));
    }
    let parameters = parameters(operation, &mut generators.read);
    if !parameters.is_empty() {
        described.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = &operation.body {
        let max_size = body.max_size;
        let content = json!({
            "description": format!("At most {max_size} bytes."),
            "required": body.required,
            "content": {"application/json": {
                "schema": (body.schema)(&mut generators.read),
                "example": body.example,
            }},
        });
        described.insert("requestBody".to_owned(), content);
    }
    let mut responses = failures::responses(operation, shared);
    responses.extend(successes(operation, &mut generators.written));
    described.insert("responses".to_owned(), responses.into());
    described.into()
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = operation
        .parameters
        .iter()
        .map(|parameter| single(parameter, generator))
        .collect();
    let query = operation.query.map(|query| query(generator).to_value());
    let query = query.unwrap_or_default();
    let required = query["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let description = schema
            .as_object_mut()
            .and_then(|schema| schema.remove("description"));
        parameters.push(json!({
            "in": "query",
            "name": name,
            "description": description.unwrap_or_default(),
            "required": required.iter().any(|required| required == name),
            "schema": schema,
        }));
    }
    parameters
}

fn single(parameter: &Parameter, generator: &mut SchemaGenerator) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "in": place,
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.required,
        "schema": (parameter.schema)(generator),
    })
}

/// Successes by status; those of one status are alternatives.
fn successes(operation: &Operation, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let mut statuses: Vec<u16> = operation.answers.iter().map(|it| it.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let mut responses = Map::new();
    for status in statuses {
        let answers = operation.answers.iter().filter(|it| it.status == status);
        let answers: Vec<&Answer> = answers.collect();
        let response = success(operation, status, &answers, generator);
        responses.insert(status.to_string(), response);
    }
    responses
}

fn success(
    operation: &Operation,
    status: u16,
    answers: &[&Answer],
    generator: &mut SchemaGenerator,
) -> Value {
    let descriptions: Vec<_> = answers.iter().map(|answer| answer.description).collect();
    let mut names = vec!["X-Request-Id", "Cache-Control"];
    if operation
        .all_reasons()
        .contains(&crate::api::Reason::RateLimited)
    {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    names.extend(
        answers
            .iter()
            .flat_map(|answer| answer.headers.iter().copied()),
    );
    let mut response = json!({
        "description": descriptions.join("\n\n"),
        "headers": headers::references(names),
    });
    let content = contents(status, answers, generator);
    if !content.is_empty() {
        response["content"] = content.into();
    }
    response
}

fn contents(
    status: u16,
    answers: &[&Answer],
    generator: &mut SchemaGenerator,
) -> Map<String, Value> {
    let mut contents = Map::new();
    let mut alternatives = Vec::new();
    let mut examples = Map::new();
    for answer in answers {
        match &answer.content {
            Content::Data(schema) => {
                alternatives.push(schema(generator).to_value());
                let example =
                    json!({"code": status, "message": "操作成功", "data": answer.example});
                let number = (examples.len() + 1).to_string();
                examples.insert(number, json!({"value": example}));
            }
            Content::Plain(content_type, schema) => {
                let schema = schema(generator);
                let content = json!({"schema": schema, "example": answer.example});
                contents.insert((*content_type).to_owned(), content);
            }
            Content::Nothing => {}
        }
    }
    let data = match alternatives.len() {
        0 => return contents,
        1 => alternatives.remove(0),
        _ => json!({"anyOf": alternatives}),
    };
    let envelope = json!({
        "type": "object",
        "required": ["code", "data", "message"],
        "properties": {
            "code": {"type": "integer", "const": status},
            "message": {"type": "string", "description": "For people."},
            "data": data,
        },
    });
    let content = json!({"schema": envelope, "examples": examples});
    contents.insert("application/json".to_owned(), content);
    contents
}
