//! `template.yaml` deploys what the code is: functions, routes, settings and the table.

mod alarms;
mod changes;
mod condition_checks;
mod environment;
mod example;
mod functions;
mod messages;
mod network;
mod objects;
mod options;
mod parameters;
mod policies;
mod releases;
mod render;
mod routes;
mod rules;
mod table;
mod webhooks;
pub mod yaml;

use std::{collections::BTreeMap, fs, sync::LazyLock};

use e2e::binaries::workspace;
use serde_json::Value;

use render::Template;

/// The template as it is written.
static SOURCE: LazyLock<Value> = LazyLock::new(|| source("template.yaml"));

fn source(file: &str) -> Value {
    yaml::parse(&fs::read_to_string(workspace().join(file)).unwrap())
}

/// The template, as it is deployed with these parameters; the others have their defaults.
fn rendered(parameters: &[(&str, &str)]) -> Template {
    Template::render(&SOURCE, parameters)
}

/// A deployed function.
struct Function {
    /// The name of its resource.
    resource: String,
    /// Its package: the folder below `functions/`.
    package: String,
    properties: Value,
}

impl Template {
    fn functions(&self) -> Vec<Function> {
        let function = |(resource, properties): (String, Value)| {
            let code = properties["CodeUri"].as_str().unwrap_or_default();
            let package = code.strip_prefix("functions/");
            let package = package.unwrap_or_else(|| {
                panic!("template.yaml: the CodeUri of {resource} is no folder of functions/")
            });
            Function {
                package: package.to_owned(),
                resource,
                properties,
            }
        };
        self.resources("AWS::Serverless::Function")
            .into_iter()
            .map(function)
            .collect()
    }
}

impl Function {
    /// The paths of its events; `$default` is what API Gateway calls the route of all other paths.
    fn paths(&self) -> Vec<String> {
        // The authorizer has none: other APIs call it.
        let events = self.properties["Events"].as_object();
        let of_api = |event: &&Value| event["Type"] == "HttpApi";
        let path = |event: &Value| {
            let path = event["Properties"]["Path"].as_str();
            path.unwrap_or("$default").to_owned()
        };
        let events = events.into_iter().flat_map(|events| events.values());
        events.filter(of_api).map(path).collect()
    }

    /// Its environment variables.
    fn variables(&self) -> BTreeMap<String, String> {
        let variables = self.properties["Environment"]["Variables"].as_object();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        variables
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }
}

/// Fails with all that is wrong, a line each.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
