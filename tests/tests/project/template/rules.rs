//! `scripts/template/rules.guard`: each rule fails where a template breaks it. That template.yaml breaks none,
//! `make check` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    process::{Command, Stdio},
};

use e2e::binaries::workspace;
use serde_json::{Map, Value, json};

/// A rule, the part of the template that is changed, and what it is changed to: nothing takes it away.
const BROKEN: [(&str, &str, Option<&str>); 18] = [
    (
        "log_groups_expire",
        "/Resources/HealthLogs/Properties/RetentionInDays",
        None,
    ),
    (
        "functions_log_to_a_group_of_the_stack",
        "/Resources/HealthFunction/Properties/LoggingConfig",
        None,
    ),
    (
        "functions_end_before_the_api_gives_up",
        "/Resources/HealthFunction/Properties/Timeout",
        Some("30"),
    ),
    (
        "functions_are_called_by_their_alias",
        "/Resources/HealthFunctionHealthPermission/Properties/FunctionName/Ref",
        Some(r#""HealthFunction""#),
    ),
    (
        "aliases_are_moved_by_a_deployment",
        "/Resources/HealthFunctionAliaslive/UpdatePolicy",
        None,
    ),
    (
        "tables_can_be_restored",
        "/Resources/Table/Properties/DeletionProtectionEnabled",
        Some("false"),
    ),
    (
        "tables_are_encrypted",
        "/Resources/Table/Properties/SSESpecification",
        None,
    ),
    (
        "tables_forget_what_has_expired",
        "/Resources/Table/Properties/TimeToLiveSpecification",
        None,
    ),
    (
        "secrets_outlive_the_stack",
        "/Resources/DataKey/DeletionPolicy",
        Some(r#""Delete""#),
    ),
    (
        "buckets_are_private",
        "/Resources/AvatarBucket/Properties/PublicAccessBlockConfiguration/BlockPublicAcls",
        Some("false"),
    ),
    (
        "buckets_refuse_plain_http",
        "/Resources/AvatarBucketPolicy/Properties/PolicyDocument/Statement/0",
        None,
    ),
    (
        "queues_are_encrypted",
        "/Resources/Queue",
        Some(r#"{"Type": "AWS::SQS::Queue", "Properties": {"SqsManagedSseEnabled": false}}"#),
    ),
    (
        "domains_speak_tls_only",
        "/Resources/Domain/Properties/DomainNameConfigurations/0/SecurityPolicy",
        Some(r#""TLS_1_0""#),
    ),
    (
        "policies_name_what_they_allow",
        "/Resources/HealthFunctionRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource",
        Some(r#""*""#),
    ),
    (
        "roles_are_assumed_by_lambda_alone",
        "/Resources/HealthFunctionRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal",
        Some(r#"{"Service": ["lambda.amazonaws.com"], "AWS": "*"}"#),
    ),
    (
        "secrets_are_not_written_into_the_environment",
        "/Resources/LoginFunction/Properties/Environment/Variables/WECHAT_SECRETS",
        Some(r#""wx0123456789abcdef:0123456789abcdef""#),
    ),
    (
        "parameters_with_secrets_are_not_shown",
        "/Parameters/WeChatSecrets/NoEcho",
        None,
    ),
    (
        "topics_are_not_public",
        "/Resources/TopicPolicy",
        Some(
            r#"{"Type": "AWS::SNS::TopicPolicy", "Properties": {"PolicyDocument": {"Statement":
                [{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "topic"}]}}}"#,
        ),
    ),
];

/// Runs `scripts/template/check.py` and reads what it prints.
fn check(argument: &str, input: &Value) -> Value {
    let root = workspace();
    let mut child = Command::new(root.join(".tools/venv/bin/python"))
        .args(["scripts/template/check.py", argument])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "scripts/tools/install.sh template: {errors}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The template with one part of it changed.
fn broken(template: &Value, path: &str, change: Option<&str>) -> Value {
    let mut template = template.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = template.pointer_mut(parent);
    let parent = parent.unwrap_or_else(|| panic!("template.yaml: no {path}"));
    match (parent, change) {
        (Value::Object(members), Some(value)) => {
            members.insert(name.to_owned(), serde_json::from_str(value).unwrap());
        }
        (Value::Object(members), None) => {
            assert!(members.remove(name).is_some(), "template.yaml: no {path}");
        }
        (Value::Array(items), _) => {
            items.remove(name.parse().unwrap());
        }
        (other, _) => panic!("{path}: {other}"),
    }
    template
}

#[test]
fn each_rule_names_what_breaks_it() {
    let template = &check("--render", &json!(null))["everything"];
    let templates =
        BROKEN.map(|(rule, path, change)| (rule.to_owned(), broken(template, path, change)));
    let mut templates = Map::from_iter(templates);
    templates.insert("whole".to_owned(), template.clone());
    let outcome = check("--rules", &Value::Object(templates));
    let failing: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> =
        serde_json::from_value(outcome).unwrap();
    // Why it breaks these, skips.yaml says.
    let usual = &failing["whole"];
    let is_new = |rule: &str, resources: &BTreeSet<String>| {
        usual
            .get(rule)
            .is_none_or(|known| !resources.is_subset(known))
    };
    for (rule, ..) in BROKEN {
        let broken = failing[rule].iter();
        let new = broken.filter(|(rule, resources)| is_new(rule, resources));
        let new: Vec<_> = new.map(|(rule, _)| rule).collect();
        assert_eq!(new, [rule]);
    }
}

#[test]
fn no_rule_is_left_out_of_this_test() {
    let rules = fs::read_to_string(workspace().join("scripts/template/rules.guard")).unwrap();
    let rules = rules.lines().filter_map(|line| line.strip_prefix("rule "));
    let rules: BTreeSet<_> = rules.map(|rule| rule.split(' ').next().unwrap()).collect();
    assert_eq!(rules, BROKEN.map(|(rule, ..)| rule).into());
}
