//! YAML with the short forms of AWS templates (`!Ref`, `!If`, …) as JSON with their long forms.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

/// The one document in `text`.
pub fn parse(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("YAML: {error}"));
    value(&documents[0])
}

fn value(node: &Yaml) -> Value {
    match node {
        Yaml::Value(scalar) => plain(scalar),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(members) => members
            .iter()
            .map(|(name, member)| (name.as_str().unwrap().to_owned(), value(member)))
            .collect(),
        Yaml::Tagged(tag, node) => json!({ long_form(&tag.suffix): value(node) }),
        Yaml::Representation(text, _, Some(tag)) => json!({ long_form(&tag.suffix): text }),
        other => panic!("template.yaml has a node that this test can't read: {other:?}"),
    }
}

fn long_form(tag: &str) -> String {
    match tag {
        "Ref" | "Condition" => tag.to_owned(),
        function => format!("Fn::{function}"),
    }
}

fn plain(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => json!(value),
        Scalar::Integer(number) => json!(number),
        Scalar::FloatingPoint(number) => json!(number.into_inner()),
        Scalar::String(text) => json!(text),
    }
}
