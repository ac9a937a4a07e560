//! `docs/openapi.json`: it is what the code says, has every route, and its examples and limits hold.

use std::collections::BTreeSet;
use std::process::Command;

use axum::{body::Body, http::Request};
use e2e::{
    binaries::as_from_a_shell,
    conformance::{self, errors},
};
use local::{OPERATIONS, openapi};
use serde_json::Value;
use shared::{
    ids::{AppId, DocumentId, OpenId, SessionId, UnionId, UserId},
    openapi::{JsonSchema, SchemaGenerator},
    saga::SagaId,
    users::UploadId,
    values::OneTimeCode,
};
use tower::ServiceExt;

use crate::{
    functions::{self, build, everything},
    settings::assert_up_to_date,
};

#[test]
fn the_openapi_document_is_up_to_date() {
    let text = serde_json::to_string_pretty(&openapi()).unwrap();
    assert_up_to_date(&[("docs/openapi.json", format!("{text}\n"))]);
}

/// `GET /health` of each operation, as the functions' routers have them.
async fn routed() -> BTreeSet<String> {
    let mut routed = BTreeSet::new();
    for (_, routes) in functions::all() {
        let built = build(routes, everything());
        let app = built.app.unwrap();
        for path in built.paths {
            // A method of no route: the answer names those that the path has.
            let request = Request::builder()
                .method("TRACE")
                .uri(path.replace(['{', '}'], ""));
            let request = request.body(Body::empty()).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            let allowed = answer.headers()["allow"].to_str().unwrap();
            // HEAD is GET without a body.
            let methods = allowed.split(',').filter(|method| *method != "HEAD");
            routed.extend(methods.map(|method| format!("{method} {path}")));
        }
    }
    routed
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let document = openapi();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        documented.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert_eq!(documented, routed().await);
}

#[test]
fn each_function_describes_its_own_routes() {
    let functions: Vec<_> = local::FUNCTIONS.iter().map(|(name, _)| *name).collect();
    let described: Vec<_> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(described, functions);
    for ((name, operations), (_, routes)) in OPERATIONS.iter().zip(local::FUNCTIONS) {
        let paths = build(*routes, everything()).paths;
        for operation in operations() {
            let path = operation.path();
            assert!(paths.contains(path), "{path} is not of {name}");
        }
    }
}

#[test]
fn operations_have_different_names_in_camel_case() {
    let mut names = BTreeSet::new();
    for (_, operations) in OPERATIONS {
        for operation in operations() {
            let id = operation.id();
            let is_camel_case = id.starts_with(|first: char| first.is_ascii_lowercase())
                && id.chars().all(|char| char.is_ascii_alphanumeric());
            assert!(is_camel_case, "{id}");
            assert!(names.insert(id), "{id} twice");
        }
    }
}

/// Calls `visit` with each media type of the document, and the pointer to it.
fn visit_contents(value: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, item)| (at.to_string(), item)).collect()
        }
        _ => return,
    };
    for (name, child) in children {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        if pointer.ends_with("/content") {
            for (content_type, content) in child.as_object().unwrap() {
                let content_type = content_type.replace('/', "~1");
                visit(&format!("{pointer}/{content_type}"), content);
            }
        } else {
            visit_contents(child, &pointer, visit);
        }
    }
}

#[test]
fn every_example_is_of_its_schema() {
    let document = openapi();
    let mut seen = 0;
    visit_contents(&document["paths"], "/paths", &mut |pointer, content| {
        let several = content["examples"].as_object().into_iter().flatten();
        let several = several.map(|(_, example)| &example["value"]);
        let examples: Vec<_> = several.chain(content.get("example")).collect();
        let is_failure = pointer.contains("/responses/4") || pointer.contains("/responses/5");
        assert!(
            is_failure || !examples.is_empty(),
            "no example at {pointer}"
        );
        for example in examples {
            let errors = errors(&format!("{pointer}/schema"), example);
            assert!(errors.is_empty(), "{pointer}: {errors:#?} in {example}");
            seen += 1;
        }
    });
    assert!(seen > 60, "{seen} examples");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            let errors = errors(&format!("/components/schemas/{name}"), example);
            assert!(errors.is_empty(), "{name}: {errors:#?} in {example}");
        }
    }
}

#[test]
fn schemas_have_names_of_their_own_and_say_what_they_are() {
    let document = openapi();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        // A number is appended to the name of a second type.
        assert!(
            !name.ends_with(|last: char| last.is_ascii_digit()),
            "{name}"
        );
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty(), "{name} says nothing");
        assert!(!description.contains("Debug"), "{name}: {description}");
    }
}

/// Texts around the edges of the values' rules.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "", "a", "A", "0", "_", "-", "a-b_c", "a b", "é", "a\n", "\u{7f}", "~!",
    ]
    .map(str::to_owned)
    .to_vec();
    for length in [31, 32, 33, 36, 63, 64, 65, 255, 256, 257] {
        texts.push("a".repeat(length));
        texts.push("0".repeat(length));
    }
    texts.extend([31, 32, 33].map(|length| format!("uploads/{}", "0".repeat(length))));
    let uuid = "0193c0de-0000-7000-8000-00000000abcd";
    texts.extend([
        uuid.to_owned(),
        uuid.to_uppercase(),
        uuid.replace('-', ""),
        format!("{{{uuid}}}"),
    ]);
    texts
}

/// That the schema of a value takes what its parser takes, and nothing else.
fn assert_same<T: JsonSchema>(parses: impl Fn(&str) -> bool) {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let validator = jsonschema::validator_for(schema.as_value()).unwrap();
    let mut taken = 0;
    for text in texts() {
        let is_valid = validator.is_valid(&text.as_str().into());
        assert_eq!(is_valid, parses(&text), "{}: {text:?}", T::schema_name());
        taken += usize::from(is_valid);
    }
    assert!(taken > 0, "{} takes none of the texts", T::schema_name());
}

#[test]
fn the_schemas_of_values_take_what_their_parsers_take() {
    assert_same::<AppId>(|text| text.parse::<AppId>().is_ok());
    assert_same::<OpenId>(|text| text.parse::<OpenId>().is_ok());
    assert_same::<UnionId>(|text| text.parse::<UnionId>().is_ok());
    assert_same::<DocumentId>(|text| text.parse::<DocumentId>().is_ok());
    assert_same::<UserId>(|text| text.parse::<UserId>().is_ok());
    assert_same::<SessionId>(|text| text.parse::<SessionId>().is_ok());
    assert_same::<SagaId>(|text| text.parse::<SagaId>().is_ok());
    assert_same::<UploadId>(|text| UploadId::of_key(text).is_some());
    assert_same::<OneTimeCode>(|text| OneTimeCode::parse(text.into()).is_some());
}

#[test]
#[should_panic(expected = "has no 418 for GET /health")]
fn an_answer_that_is_not_in_the_document_is_refused() {
    conformance::check(
        "GET",
        "/health",
        418,
        &reqwest::header::HeaderMap::new(),
        b"",
    );
}

/// Each function alone, as it is built to be deployed.
#[test]
fn deployed_functions_carry_no_description_of_the_api() {
    for (name, _) in functions::all() {
        let mut command = Command::new("cargo");
        as_from_a_shell(&mut command);
        let output = command
            .args(["tree", "--package", &name, "--offline", "--prefix", "none"])
            .args(["--edges", "normal,build", "--format", "{p} {f}"])
            .output()
            .unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        let first = tree.lines().next().unwrap_or_default();
        assert!(first.starts_with(&name), "{tree}");
        let unwanted = |line: &&str| line.starts_with("schemars") || line.ends_with(" openapi");
        let found: Vec<_> = tree.lines().filter(unwanted).collect();
        assert!(found.is_empty(), "{name} has {found:?}");
    }
}
