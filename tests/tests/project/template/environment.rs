//! Each function is given the settings that it reads, and no others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Function, assert_none, parameters::tuned, rendered};
use crate::{
    functions::{self, Built, build, lambda},
    settings,
};

/// The parameters that have no default, with values.
pub const REQUIRED: [(&str, &str); 3] = [
    ("AlarmEmail", "ops@example.com"),
    ("WeChatAppIds", "wx0123456789abcdef"),
    (
        "WeChatSecrets",
        "wx0123456789abcdef:0123456789abcdef0123456789abcdef",
    ),
];

/// The parameters that decide which variables a function gets: each combination of these groups is
/// tried. The keys are those of RFC 8410 §10.
const SWITCHES: [&[(&str, &str)]; 6] = [
    &[
        ("Avatars", "cloudfront"),
        ("Webhooks", "[]"),
        ("UserMessages", "on"),
    ],
    &[("ContentCheck", "on")],
    &[("JwtSecrets", "k3f9s0d8f7a6h5j4k3l2m1n0b9v8c7x6")],
    &[
        (
            "JwtKeys",
            "a:MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
        ),
        (
            "JwtPublicKeys",
            "a:MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
        ),
    ],
    &[(
        "DataKeys",
        "k2:8f1d3c5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c",
    )],
    &[
        (
            "SecretsLayer",
            "arn:aws:lambda:ap-southeast-1:044395824272:layer:AWS-Parameters-and-Secrets-Lambda-Extension:12",
        ),
        ("RedisUrl", "rediss://127.0.0.1:1"),
        ("RedisIamUser", "weapp-functions"),
        ("RedisIamCache", "weapp"),
    ],
];

/// What AWS puts in place of the references to secrets and to the queues that the stack makes.
const GENERATED: [(&str, &str); 4] = [
    (
        "{{resolve:secretsmanager:JwtSecretArn.Value}}",
        "Zk3v9Qx7Lm2Tn8RbHs5Gf0YcKd1Zw6Xr4Wt2Bn6Mq0Pz3Lv7Jc1Hs9GAa8Ee5Uu2Qa",
    ),
    (
        "{{resolve:secretsmanager:DataKeyArn.Value}}",
        "1c3d5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c8f",
    ),
    (
        "WebhookQueue",
        "https://sqs.us-east-1.amazonaws.com/123456789012/hooks",
    ),
    (
        "MessageQueue",
        "https://sqs.us-east-1.amazonaws.com/123456789012/messages",
    ),
];

/// Variables that are passed but read by something else than the function.
const READ_ELSEWHERE: [(&str, &str); 1] = [(
    "PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED",
    "AWS's extension reads it",
)];

/// Settings that a stack does not pass, by the reason.
const NOT_PASSED: [(&str, &[&str]); 4] = [
    (
        "Lambda sets them",
        &[
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_LAMBDA_MAX_CONCURRENCY",
        ],
    ),
    (
        "they are of `make run` and of a server of one's own",
        &[
            "HOST",
            "PORT",
            "DATA_DIR",
            "DYNAMODB_PORT",
            "METRICS_PORT",
            "LOG_FORMAT",
            "MAX_CONNECTIONS",
            "KEEP_ALIVE_SECONDS",
            "METRICS_HOST",
            "SHUTDOWN_DELAY_SECONDS",
            "SHUTDOWN_SECONDS",
            "EMBEDDED_DATA",
            "ALLOW_SIMULATOR",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ],
    ),
    (
        "they lead to other services than those of AWS and WeChat",
        &[
            "AWS_ENDPOINT_URL_DYNAMODB",
            "AWS_ENDPOINT_URL_S3",
            "WECHAT_BASE_URL",
        ],
    ),
    (
        "on AWS they have nothing to say: certificates of ElastiCache are those that browsers trust, \
         the extension listens on its default port",
        &["REDIS_CA_CERT", "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"],
    ),
];

/// Every combination of [`SWITCHES`], with what is always needed: each once with the defaults of all
/// settings, and once with other values.
fn combinations() -> Vec<Vec<(&'static str, &'static str)>> {
    let switched = |bits: usize| {
        let on = move |(index, _): &(usize, _)| bits & (1 << index) != 0;
        let switched = SWITCHES.into_iter().enumerate().filter(on);
        let switched = switched.flat_map(|(_, parameters)| parameters);
        REQUIRED.iter().chain(switched).copied()
    };
    (0..1_usize << SWITCHES.len())
        .flat_map(|bits| {
            [
                switched(bits).collect(),
                switched(bits).chain(tuned()).collect(),
            ]
        })
        .collect()
}

/// The names of the parameters that a combination switches.
fn described(parameters: &[(&str, &str)]) -> String {
    let is_tuned = |name: &str| tuned().any(|(tuned, _)| tuned == name);
    let switched = parameters[REQUIRED.len()..].iter().map(|(name, _)| *name);
    let mut names: Vec<_> = switched.filter(|name| !is_tuned(name)).collect();
    if parameters.iter().any(|(name, _)| is_tuned(name)) {
        names.push("other values of all settings");
    }
    format!("[{}]", names.join(", "))
}

/// The variables as the function finds them; an empty one counts as passed.
pub fn variables(function: &Function) -> BTreeMap<String, String> {
    let mut variables = function.variables();
    for value in variables.values_mut() {
        for (reference, secret) in GENERATED {
            *value = value.replace(reference, secret);
        }
    }
    variables
}

/// A deployed function with its environment, as it starts there.
struct Deployed {
    function: Function,
    variables: BTreeMap<String, String>,
    built: Built,
}

fn deployed(parameters: &[(&str, &str)]) -> Vec<Deployed> {
    let known: BTreeMap<_, _> = functions::all().into_iter().collect();
    let functions = rendered(parameters).functions().into_iter();
    functions
        .map(|function| {
            let routes = known.get(&function.package);
            let routes = *routes.unwrap_or_else(|| panic!("no function {}", function.package));
            let variables = variables(&function);
            let built = build(routes, lambda().chain(variables.clone()));
            Deployed {
                function,
                variables,
                built,
            }
        })
        .collect()
}

/// What is wrong with a function in one environment.
fn errors(
    Deployed {
        variables, built, ..
    }: &Deployed,
) -> Vec<String> {
    let is_read = |name: &String| {
        built.reads.contains(name) || READ_ELSEWHERE.iter().any(|(known, _)| known == name)
    };
    let unread = variables.keys().filter(|name| !is_read(name));
    let unread = unread.map(|name| format!("does not read {name}, which it is given"));
    let refused = built.app.as_ref().err();
    let refused = refused.map(|errors| format!("does not start: {errors}"));
    unread.chain(refused).collect()
}

#[tokio::test]
async fn every_function_starts_and_is_given_only_what_it_reads() {
    // What is wrong, and with which parameters.
    let mut wrong = BTreeMap::<String, Vec<String>>::new();
    for parameters in combinations() {
        let switched = described(&parameters);
        for deployed in deployed(&parameters) {
            for error in errors(&deployed) {
                let resource = &deployed.function.resource;
                let error = format!("template.yaml: {resource} {error}");
                wrong.entry(error).or_default().push(switched.clone());
            }
        }
    }
    let count = combinations().len();
    let line = |(error, parameters): (String, Vec<String>)| {
        let example = parameters.iter().min_by_key(|names| names.len()).unwrap();
        format!(
            "{error} (in {} of {count} combinations, e.g. with {example})",
            parameters.len()
        )
    };
    assert_none(&wrong.into_iter().map(line).collect::<Vec<_>>());
}

/// The variables that each function gets in some combination, by its package.
fn passed() -> BTreeMap<String, BTreeSet<String>> {
    let mut passed = BTreeMap::<_, BTreeSet<_>>::new();
    for parameters in combinations() {
        for function in rendered(&parameters).functions() {
            let names = function.variables().into_keys();
            passed
                .entry(function.package.clone())
                .or_default()
                .extend(names);
        }
    }
    passed
}

fn exempt() -> BTreeSet<&'static str> {
    NOT_PASSED
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect()
}

#[tokio::test]
async fn every_function_is_given_each_setting_that_it_reads() {
    let (passed, exempt) = (passed(), exempt());
    let mut wrong = Vec::new();
    for (name, routes) in functions::all() {
        let reads = functions::reads(routes);
        let missing = reads.iter().filter(|setting| {
            !passed[&name].contains(*setting) && !exempt.contains(setting.as_str())
        });
        wrong.extend(missing.map(|setting| {
            format!(
                "template.yaml: functions/{name} reads {setting}, which it is not given and which \
                 NOT_PASSED of tests/tests/project/template/environment.rs does not name"
            )
        }));
    }
    assert_none(&wrong);
}

#[test]
fn the_exemptions_are_settings_that_no_function_is_given() {
    let settings: BTreeSet<_> = settings::all().iter().map(|setting| setting.name).collect();
    let passed: BTreeSet<_> = passed().into_values().flatten().collect();
    let mut wrong = Vec::new();
    for name in exempt() {
        if !settings.contains(name) {
            wrong.push(format!("NOT_PASSED names {name}, which is no setting"));
        }
        if passed.contains(name) {
            wrong.push(format!(
                "NOT_PASSED names {name}, which template.yaml passes"
            ));
        }
    }
    let given = settings.iter().filter(|name| !exempt().contains(*name));
    let missing = given.filter(|name| !passed.contains(**name));
    wrong.extend(missing.map(|name| {
        format!("template.yaml: no function is given {name}, and NOT_PASSED does not name it")
    }));
    assert_none(&wrong);
}
