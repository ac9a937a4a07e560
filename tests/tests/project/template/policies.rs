//! Which managed policies a function's role carries. What their statements allow stands in
//! template.yaml, once for all functions that have them.

use std::collections::BTreeMap;

use super::rendered;

/// The policies of each function, by its package, where everything is switched on.
const POLICIES: [(&str, &[&str]); 12] = [
    (
        "account",
        &[
            "ReadRedisUrl",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadDataKeys",
            "DeleteAvatars",
        ],
    ),
    (
        "avatar",
        &[
            "ReadRedisUrl",
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
            "ReadRedisUrl",
            "ReadMessagePush",
            "PublishAvatars",
            "SendWebhooks",
        ],
    ),
    (
        "config",
        &["ReadRedisUrl", "ReadTransportKeys", "ReadPublicKeys"],
    ),
    ("health", &["ReadRedisUrl"]),
    // Sign tokens.
    (
        "login",
        &[
            "ReadRedisUrl",
            "ReadTransportKeys",
            "ReadTokenKeys",
            "ReadWeChat",
            "DeleteAvatars",
        ],
    ),
    (
        "token",
        &["ReadRedisUrl", "ReadTransportKeys", "ReadTokenKeys"],
    ),
    (
        "user-data",
        &[
            "ReadRedisUrl",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadWeChat",
        ],
    ),
    (
        "user-info",
        &[
            "ReadRedisUrl",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadWeChat",
            "DeleteAvatars",
        ],
    ),
    (
        "users",
        &[
            "ReadRedisUrl",
            "ReadTransportKeys",
            "ReadPublicKeys",
            "ReadDataKeys",
            "DeleteAvatars",
            "SendWebhooks",
        ],
    ),
    ("webhooks", &["ReadWebhooks", "SendWebhooks"]),
    ("worker", &["ReadRedisUrl", "DeleteAvatars", "SendWebhooks"]),
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
