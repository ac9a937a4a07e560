//! Which managed policies a function's role carries. What their statements allow stands in
//! template.yaml, once for all functions that have them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{releases::transformed, rendered};

/// The policies of AWS that every role carries besides: to write its log, and to be in a VPC.
const OF_AWS: [&str; 2] = [
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
];

/// The one with which Lambda takes messages of a queue: SAM gives it to a function with such an event.
const OF_QUEUES: &str = "AWSLambdaSQSQueueExecutionRole";

/// The policies of each function, by its package, where everything is switched on.
const POLICIES: [(&str, &[&str]); 14] = [
    (
        "account",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadDataKeys",
            "DeleteAvatars",
        ],
    ),
    ("authorizer", &["Common", "ReadPublicKeys"]),
    (
        "avatar",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadWeChat",
            "TakeAvatars",
            "PublishAvatars",
        ],
    ),
    (
        "callback",
        &[
            "Common",
            "ReadMessagePush",
            "PublishAvatars",
            "SendWebhooks",
        ],
    ),
    ("config", &["Common", "ReadTransportKeys", "ReadPublicKeys"]),
    ("health", &["Common"]),
    ("messages", &["Common", "ReadWeChat", "SendWebhooks"]),
    // Sign tokens.
    (
        "login",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadTokenKeys",
            "ReadWeChat",
            "DeleteAvatars",
        ],
    ),
    ("token", &["Common", "ReadTransportKeys", "ReadTokenKeys"]),
    (
        "user-data",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadWeChat",
        ],
    ),
    (
        "user-info",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadWeChat",
            "DeleteAvatars",
        ],
    ),
    (
        "users",
        &[
            "Common",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadDataKeys",
            "DeleteAvatars",
            "SendWebhooks",
            "SendMessages",
        ],
    ),
    ("webhooks", &["Common", "ReadWebhooks", "SendWebhooks"]),
    ("worker", &["Common", "DeleteAvatars", "SendWebhooks"]),
];

/// The managed policies of each function with these parameters.
fn policies(parameters: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let functions = rendered(parameters).functions().into_iter();
    let policies = functions.map(|function| {
        let policies = function.properties["Policies"].as_array().unwrap();
        // Statements of the function's own are objects.
        let names = policies.iter().filter_map(|policy| policy.as_str());
        (function.package, names.map(str::to_owned).collect())
    });
    policies.collect()
}

#[test]
fn each_function_has_the_policies_of_this_list() {
    let everything = [
        ("SecretsLayer", "arn:aws:lambda:x:1:layer:y:1"),
        ("JwtPublicKeys", "ssm:/weapp/JWT_PUBLIC_KEYS"),
        ("ContentCheck", "on"),
        ("Avatars", "cloudfront"),
        ("Webhooks", "ssm:/weapp/WEBHOOKS"),
        ("UserMessages", "on"),
    ];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let wanted = POLICIES.map(|(package, names)| (package.to_owned(), owned(names)));
    assert_eq!(policies(&everything), BTreeMap::from(wanted));
}

#[test]
fn a_function_has_no_managed_policy_for_what_is_switched_off() {
    for (package, names) in policies(&[]) {
        assert!(names.is_empty(), "{package}: {names:?}");
    }
}

/// The names of the policies in a list of ARNs and references to them.
fn names(arns: &Value) -> BTreeSet<String> {
    match arns {
        Value::Array(items) => items.iter().flat_map(names).collect(),
        // What a condition switches, and the text of an ARN that has a region's partition in it.
        Value::Object(members) => members.values().flat_map(names).collect(),
        Value::String(text) => {
            let name = text.rsplit('/').next().unwrap_or_default();
            BTreeSet::from([name.to_owned()])
        }
        _ => BTreeSet::new(),
    }
}

#[test]
fn a_role_carries_these_policies_and_those_of_aws_that_this_list_names() {
    let resources = transformed(&[]);
    let own: BTreeSet<_> = rendered(&[("SecretsLayer", "l"), ("Avatars", "cloudfront")])
        .resources("AWS::IAM::ManagedPolicy")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut carried = BTreeSet::new();
    for function in rendered(&[]).functions() {
        let role = format!("{}Role", function.resource);
        let arns = &resources[&role]["Properties"]["ManagedPolicyArns"];
        let listed = POLICIES
            .iter()
            .find(|(package, _)| *package == function.package);
        let (_, listed) = listed.unwrap();
        let names = names(arns);
        let unknown = names
            .iter()
            .filter(|name| name.starts_with("AWS") && !name.contains(':'));
        let of_aws: Vec<_> = unknown.collect();
        let events = function.properties["Events"].as_object();
        let mut events = events.into_iter().flat_map(|events| events.values());
        let has_queue = events.any(|event| event["Type"] == "SQS");
        let mut wanted: Vec<_> = OF_AWS.into_iter().collect();
        wanted.extend(has_queue.then_some(OF_QUEUES));
        wanted.sort_unstable();
        assert_eq!(of_aws, wanted, "{role}");
        for name in *listed {
            assert!(names.contains(*name), "{role}: no {name}");
        }
        carried.extend(names.intersection(&own).cloned());
    }
    assert_eq!(carried, own, "a policy that no function carries");
}
