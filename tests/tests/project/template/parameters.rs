//! The parameters of settings: the template has the defaults and ranges of the code, and what it passes
//! fits into a function's environment.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Value, json};
use shared::config::Form;

use super::{
    SOURCE, assert_none,
    environment::{REQUIRED, variables},
    rendered,
};
use crate::{scripts::passed, settings};

/// What a function's environment holds at most, as JSON.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const MAX_ENVIRONMENT: usize = 4096;

/// The most parameters of a stack.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
const MAX_PARAMETERS: usize = 200;

/// Values of parameters that have a pattern, other than the default.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "Consents",
        "privacy_policy:1000000,terms-of-service:1000000",
    ),
    ("AvatarHosts", "img.example.com,*.cdn.example.com"),
    ("JwtIssuer", "https://api.example.com"),
];

/// The longest value of a rate limit.
const LONGEST_LIMIT: &str = "1000000/min burst 1000000 shadow";

/// What makes a condition of a parameter: it differs from its default.
const PREFIX: &str = "Sets";

/// The parameters that are passed only where they differ from their defaults, with the longest of
/// such values.
static TUNED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let conditions = SOURCE["Conditions"].as_object().unwrap();
    let names = conditions
        .keys()
        .filter_map(|name| name.strip_prefix(PREFIX));
    names
        .map(|name| (name.to_owned(), other_value(name)))
        .collect()
});

/// These parameters with such values.
pub fn tuned() -> impl Iterator<Item = (&'static str, &'static str)> {
    TUNED.iter().map(|(name, value)| (&**name, &**value))
}

fn other_value(name: &str) -> String {
    let parameter = &SOURCE["Parameters"][name];
    let default = text(&parameter["Default"]);
    let longest = [&parameter["MaxValue"], &parameter["MinValue"]];
    let mut of_range = longest.map(text).into_iter().filter(|it| !it.is_empty());
    let words = parameter["AllowedValues"].as_array();
    let mut words = words.into_iter().flatten().map(text);
    let example = EXAMPLES.iter().find(|(known, _)| *known == name);
    let other = of_range.find(|value| *value != default);
    other
        .or_else(|| words.find(|word| *word != default))
        .or_else(|| example.map(|(_, value)| (*value).to_owned()))
        .unwrap_or_else(|| LONGEST_LIMIT.to_owned())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// How a parameter differs from the setting that it is for.
fn differences(parameter: &Value, form: Form) -> Vec<String> {
    let wanted = match form {
        Form::Number {
            default, min, max, ..
        } => vec![
            ("Type", json!("Number")),
            ("Default", json!(default)),
            ("MinValue", json!(min)),
            ("MaxValue", json!(max)),
        ],
        Form::Words { default, words } => {
            vec![("Default", json!(default)), ("AllowedValues", json!(words))]
        }
        Form::Text { default, .. } => vec![("Default", json!(default))],
        _ => vec![],
    };
    let differs = |(what, wanted): &(&str, Value)| parameter[what] != *wanted;
    wanted
        .into_iter()
        .filter(differs)
        .map(|(what, wanted)| format!("{what} is {}, not {wanted}", parameter[what]))
        .collect()
}

#[test]
fn the_parameters_have_the_defaults_and_ranges_of_the_settings() {
    let parameters: BTreeMap<_, _> = passed()
        .into_iter()
        .map(|(parameter, passed)| (passed.variable, parameter))
        .collect();
    let mut wrong = Vec::new();
    for setting in settings::all() {
        let Some(name) = parameters.get(setting.name) else {
            continue;
        };
        let differences = differences(&SOURCE["Parameters"][name], setting.form);
        wrong.extend(
            differences
                .into_iter()
                .map(|difference| format!("template.yaml: {name}: {difference}")),
        );
    }
    assert_none(&wrong);
}

#[test]
fn a_parameter_is_passed_where_it_differs_from_its_default() {
    let mut wrong = Vec::new();
    for (name, _) in tuned() {
        let default = text(&SOURCE["Parameters"][name]["Default"]);
        let differs = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": name}, default]}]});
        if SOURCE["Conditions"][format!("{PREFIX}{name}")] != differs {
            wrong.push(format!(
                "template.yaml: {PREFIX}{name} is not: differs from {default:?}"
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_template_has_fewer_parameters_than_cloudformation_allows() {
    let count = SOURCE["Parameters"].as_object().unwrap().len();
    assert!(count <= MAX_PARAMETERS, "{count}");
}

/// A text of this length, as keys are.
fn key(length: usize) -> String {
    "k".repeat(length)
}

/// A base64 key of sealed bodies: 1624 characters with 2048 bits, 3168 with 4096.
fn transport_key(bits: usize) -> String {
    format!("t1:{}", key(if bits == 2048 { 1624 } else { 3168 }))
}

/// These parameters, with those that have no default.
fn with_required<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    REQUIRED.into_iter().chain(parameters).collect()
}

/// The functions whose environment does not fit, with these parameters.
fn too_large(what: &str, parameters: &[(&str, &str)]) -> Vec<String> {
    let functions = rendered(parameters).functions().into_iter();
    let sizes = functions.map(|function| {
        let size = serde_json::to_vec(&variables(&function)).unwrap().len();
        (function.package, size)
    });
    sizes
        .filter(|(_, size)| *size > MAX_ENVIRONMENT)
        .map(|(package, size)| format!("{package} with {what}: {size} bytes"))
        .collect()
}

/// As docs/deploy.md says.
#[test]
fn a_functions_environment_holds_the_defaults_with_the_longest_keys() {
    let one = transport_key(4096);
    let two = [transport_key(2048), transport_key(2048)].join(",");
    let mut wrong = Vec::new();
    for (what, keys) in [("a key of 4096 bits", one), ("two of 2048 bits", two)] {
        let parameters = with_required([("TransportKeys", &*keys)]);
        wrong.extend(too_large(what, &parameters));
    }
    assert_none(&wrong);
}

#[test]
fn a_functions_environment_holds_other_values_of_all_settings_with_one_key_of_each_kind() {
    let (transport, secret, pair) = (transport_key(2048), key(64), format!("a:{}", key(64)));
    let keys = [
        ("TransportKeys", &*transport),
        ("JwtSecrets", &*secret),
        ("JwtKeys", &*pair),
        ("Avatars", "cloudfront"),
        ("ContentCheck", "on"),
        (
            "RedisUrl",
            "rediss://user:0123456789abcdef@cache.example.com:6379",
        ),
    ];
    let mut parameters = with_required(keys);
    parameters.extend(tuned().map(|(name, value): (&str, &str)| (name, value)));
    assert_none(&too_large("all settings", &parameters));
}

#[test]
fn the_id_of_the_generated_data_key_is_a_parameter() {
    let mut count = 0;
    for function in rendered(&[("DataKeyId", "k2"), ("ContentCheck", "on")]).functions() {
        if let Some(keys) = function.variables().get("DATA_KEYS") {
            let secret = "k2:{{resolve:secretsmanager:DataKeyArn.Value}}";
            assert_eq!(keys, secret, "{}", function.package);
            count += 1;
        }
    }
    assert!(count > 1, "{count}");
}
