//! `make configure`: what arrives at the AWS CLI.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

use super::{Scratch, errors, passed, path};

/// Stands in for the AWS CLI: writes down each call, with the file that it was given.
const AWS: &str = r#"#!/usr/bin/env python3
import json, os, stat, sys

arguments = sys.argv[1:]
call = {"arguments": arguments}
if "--cli-input-json" in arguments:
    file = arguments[arguments.index("--cli-input-json") + 1].removeprefix("file://")
    call["file"] = file
    call["mode"] = stat.S_IMODE(os.stat(file).st_mode)
    with open(file) as input:
        call["input"] = json.load(input)
with open(os.environ["REPORT"], "a") as output:
    print(json.dumps(call), file=output)
if "Stacks[0].StackStatus" in arguments:
    with open(os.environ["REPORT"]) as calls:
        asked = sum("Stacks[0].StackStatus" in line for line in calls)
    states = os.environ.get("STATES", "").split()
    if asked > len(states):
        sys.exit(254)
    print(states[asked - 1])
elif any("Outputs" in argument for argument in arguments):
    print(os.environ["OUTPUTS"].replace(" ", "\n").replace("=", "\t"))
elif arguments[1] == "describe-stacks":
    print(os.environ["KNOWN"])
elif arguments[1] == "describe-alarms":
    print(os.environ.get("ALARMS", ""))
if arguments[1] == os.environ.get("FAILING"):
    print(os.environ.get("ERROR", ""), file=sys.stderr)
    sys.exit(254)
"#;

struct Change {
    output: Output,
    /// Each call of `aws`.
    calls: Vec<Value>,
}

impl Change {
    /// Runs `make configure` with these arguments and variables, on a stack with all parameters.
    fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut known = passed().into_keys().collect::<Vec<_>>().join("\t");
        known.push_str("\tArchitecture\tRelease");
        let scratch = Scratch::new();
        scratch.program("bin/aws", AWS);
        // The stack does not take time here.
        scratch.program("bin/sleep", "#!/bin/sh\n");
        let report = scratch.root.join("report");
        let output = Command::new("make")
            .arg("configure")
            .args(arguments)
            .current_dir(&scratch.root)
            .env_clear()
            .env(
                "PATH",
                format!("{}:{}", scratch.root.join("bin").display(), path()),
            )
            .env("REPORT", &report)
            .env("KNOWN", known)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let calls = fs::read_to_string(&report).unwrap_or_default();
        let calls = calls
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        Self { output, calls }
    }

    fn call(&self, command: &str) -> Option<&Value> {
        self.calls
            .iter()
            .find(|call| call["arguments"][1] == command)
    }

    fn count(&self, command: &str) -> usize {
        let calls = self.calls.iter();
        let calls = calls.filter(|call| call["arguments"][1] == command);
        calls.count()
    }

    fn update(&self) -> &Value {
        let update = self.call("update-stack");
        update.unwrap_or_else(|| panic!("no update:\n{}", errors(&self.output)))
    }

    /// The parameters of the update that do not keep their values, but the release.
    fn changed(&self) -> Vec<(&str, &str)> {
        let parameters = self.update()["input"]["Parameters"].as_array().unwrap();
        let changed = parameters
            .iter()
            .filter(|parameter| parameter["UsePreviousValue"] != true)
            .filter(|parameter| parameter["ParameterKey"] != "Release");
        changed
            .map(|parameter| {
                (
                    parameter["ParameterKey"].as_str().unwrap(),
                    parameter["ParameterValue"].as_str().unwrap(),
                )
            })
            .collect()
    }
}

#[test]
fn a_parameter_is_changed_and_everything_else_stays() {
    let change = Change::run(
        &["RATE_LIMIT_LOGIN=10/s burst 10", "WECHAT_TIMEOUT_MS=2000"],
        &[("BREAKER_QUORUM", "3"), ("LOG_LEVEL", "")],
    );
    assert!(change.output.status.success(), "{}", errors(&change.output));
    let mut changed = change.changed();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            ("BreakerQuorum", "3"),
            ("LogLevel", "info"),
            ("RateLimitLogin", "10/s burst 10"),
            ("WeChatTimeoutMs", "2000"),
        ]
    );
    let input = &change.update()["input"];
    assert_eq!(input["StackName"], "weapp-serverless");
    assert_eq!(input["UsePreviousTemplate"], true);
    assert!(input.get("TemplateBody").is_none() && input.get("TemplateURL").is_none());
    let parameters = input["Parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), passed().len() + 2);
    assert!(change.call("wait").is_some());
}

#[test]
fn values_are_in_a_private_file_that_is_removed_and_nowhere_else() {
    let secret = "redis://:hunter2@h";
    let change = Change::run(&[], &[("REDIS_URL", secret), ("STACK", "other")]);
    let update = change.update();
    assert_eq!(update["mode"], 0o600);
    assert_eq!(update["input"]["StackName"], "other");
    assert!(!fs::exists(update["file"].as_str().unwrap()).unwrap());
    for call in &change.calls {
        assert!(!call["arguments"].to_string().contains("hunter2"), "{call}");
    }
    let user = [("RedisIamCache", ""), ("RedisIamUser", "")];
    let wanted = [user[0], user[1], ("RedisUrl", secret)];
    assert_eq!(change.changed(), wanted);
    let text = errors(&change.output);
    assert!(
        text.contains("REDIS_URL") || text.contains("RedisUrl"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn without_a_value_the_functions_are_published_with_what_their_secrets_are_now() {
    let change = Change::run(&[], &[]);
    assert!(change.output.status.success(), "{}", errors(&change.output));
    assert!(change.changed().is_empty());
    let parameters = change.update()["input"]["Parameters"].as_array().unwrap();
    let release = parameters.iter().find(|it| it["ParameterKey"] == "Release");
    let release = release.unwrap()["ParameterValue"].as_str().unwrap();
    assert_eq!(release.len(), 10, "{release}");
}

#[test]
fn nothing_is_sent_with_a_wrong_value() {
    for (arguments, why) in [
        (
            &["MAX_SESSIONS=some"][..],
            "MAX_SESSIONS is not a whole number",
        ),
        (&["WECHAT_APPID=wx1"], "WECHAT_APPID is not a setting"),
        (&["WECHAT_APPIDS= "], "WECHAT_APPIDS is empty"),
        // The stack would make a new, empty table.
        (&["EXISTING_TABLE="], "EXISTING_TABLE is empty"),
    ] {
        let change = Change::run(arguments, &[]);
        let text = errors(&change.output);
        assert!(!change.output.status.success(), "{arguments:?}");
        assert!(text.contains(why), "{text}");
        assert!(change.call("update-stack").is_none());
    }
}

#[test]
fn a_parameter_that_the_stacks_template_does_not_have_is_named() {
    let change = Change::run(
        &["MAX_SESSIONS=5"],
        &[("KNOWN", "Architecture\tWeChatAppIds")],
    );
    let text = errors(&change.output);
    assert!(!change.output.status.success());
    assert!(text.contains("has no MaxSessions yet"), "{text}");
    assert!(change.call("update-stack").is_none());
}

/// The user and the cache that IAM knows would need its address.
#[test]
fn a_redis_that_is_switched_off_takes_its_user_along() {
    let change = Change::run(&["REDIS_URL="], &[]);
    assert!(change.output.status.success(), "{}", errors(&change.output));
    let wanted = [
        ("RedisIamCache", ""),
        ("RedisIamUser", ""),
        ("RedisUrl", ""),
    ];
    assert_eq!(change.changed(), wanted);
    // Of an older template, which knows neither.
    let older = Change::run(
        &["REDIS_URL=rediss://h"],
        &[("KNOWN", "Architecture\tRedisUrl\tRelease")],
    );
    let text = errors(&older.output);
    assert!(older.output.status.success(), "{text}");
    assert_eq!(older.changed(), [("RedisUrl", "rediss://h")]);
    assert!(text.contains("changing RedisUrl and"), "{text}");
}

#[test]
fn a_stack_that_has_the_values_already_is_no_failure() {
    let error = "An error occurred (ValidationError): No updates are to be performed.";
    let change = Change::run(
        &["MAX_SESSIONS=5"],
        &[("FAILING", "update-stack"), ("ERROR", error)],
    );
    assert!(change.output.status.success(), "{}", errors(&change.output));
}

#[test]
fn a_failure_is_reported_with_its_reason() {
    let refused = Change::run(
        &["MAX_SESSIONS=5000"],
        &[
            ("FAILING", "update-stack"),
            (
                "ERROR",
                "Parameter MaxSessions must be a number not greater than 100",
            ),
        ],
    );
    assert!(!refused.output.status.success());
    assert!(errors(&refused.output).contains("not greater than 100"));
    for (states, why) in [
        ("UPDATE_ROLLBACK_COMPLETE", "was not changed"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "is rolling the update back"),
        ("UPDATE_ROLLBACK_FAILED", "is changed in part"),
        ("UPDATE_FAILED", "is not known whether"),
        // The status can't be read.
        ("", "is not known whether"),
    ] {
        let failed = Change::run(
            &["MAX_SESSIONS=5"],
            &[("FAILING", "wait"), ("STATES", states)],
        );
        let text = errors(&failed.output);
        assert!(!failed.output.status.success(), "{states}");
        assert!(text.contains(why), "{states}: {text}");
        let says_unchanged = text.contains("was not changed");
        assert_eq!(says_unchanged, why == "was not changed", "{text}");
    }
}

#[test]
fn the_reasons_of_a_failure_are_those_of_this_update() {
    let states = "UPDATE_ROLLBACK_COMPLETE";
    let failed = Change::run(
        &["MAX_SESSIONS=5"],
        &[("FAILING", "wait"), ("STATES", states)],
    );
    let arguments = failed.call("update-stack").unwrap();
    let arguments = arguments["arguments"].as_array().unwrap();
    let name = "--client-request-token";
    let option = arguments.iter().position(|it| it == name);
    let token = arguments[option.unwrap() + 1].as_str().unwrap();
    let events = failed.call("describe-stack-events").unwrap();
    let events = events["arguments"].as_array().unwrap();
    let wanted = format!("ClientRequestToken=='{token}'");
    let query = |it: &Value| it.as_str().unwrap().contains(&wanted);
    assert!(events.iter().any(query), "{events:?}");
    // However many events there are since.
    let is_limited = events.iter().any(|it| it == "--max-items");
    assert!(!is_limited, "{events:?}");
}

#[test]
fn an_update_is_waited_for_as_long_as_it_runs() {
    let running = "UPDATE_IN_PROGRESS UPDATE_COMPLETE_CLEANUP_IN_PROGRESS";
    for (last, succeeds) in [
        ("UPDATE_COMPLETE", true),
        ("UPDATE_ROLLBACK_COMPLETE", false),
    ] {
        let states = format!("{running} {last}");
        let change = Change::run(
            &["MAX_SESSIONS=5"],
            &[("FAILING", "wait"), ("STATES", &*states)],
        );
        let text = errors(&change.output);
        assert_eq!(change.output.status.success(), succeeds, "{text}");
        assert_eq!(change.count("wait"), 3, "{text}");
        assert_eq!(change.call("describe-stack-events").is_none(), succeeds);
    }
}

#[test]
fn a_network_stack_and_tags_reach_a_running_stack() {
    let outputs =
        "RedisUrl=rediss://cache.example:6379 RedisMode=cluster SubnetIds=subnet-1,subnet-2";
    let change = Change::run(
        &[
            "NETWORK_STACK=weapp-network",
            "TAGS=team=mini-program env=prod",
        ],
        &[("OUTPUTS", outputs)],
    );
    assert!(change.output.status.success(), "{}", errors(&change.output));
    let mut changed = change.changed();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            ("RedisIamCache", ""),
            ("RedisIamUser", ""),
            ("RedisMode", "cluster"),
            ("RedisUrl", "rediss://cache.example:6379"),
            ("SubnetIds", "subnet-1,subnet-2"),
        ]
    );
    let tags = serde_json::json!([
        {"Key": "team", "Value": "mini-program"},
        {"Key": "env", "Value": "prod"},
    ]);
    assert_eq!(change.update()["input"]["Tags"], tags);
    // Without any, those of the stack stay.
    let untagged = Change::run(&["MAX_SESSIONS=5"], &[]);
    assert!(untagged.update()["input"].get("Tags").is_none());
}

/// The alarm would end the deployment, and `CloudFormation` would undo all of the update, after minutes.
#[test]
fn while_requests_fail_only_an_update_that_no_alarm_ends_is_begun() {
    let alarms = "weapp-serverless-rollback-login\tweapp-serverless-rollback-token";
    let refused = Change::run(&["MAX_SESSIONS=5"], &[("ALARMS", alarms)]);
    let text = errors(&refused.output);
    assert!(!refused.output.status.success());
    assert!(refused.call("update-stack").is_none(), "{text}");
    for part in ["rollback-login", "DEPLOYMENT_PREFERENCE=AllAtOnce"] {
        assert!(text.contains(part), "{text}");
    }
    let asked = refused.call("describe-alarms").unwrap()["arguments"].to_string();
    for part in ["\"weapp-serverless-rollback-\"", "[?StateValue=='ALARM']"] {
        assert!(asked.contains(part), "{asked}");
    }
    let repair = Change::run(
        &["MAX_SESSIONS=5", "DEPLOYMENT_PREFERENCE=AllAtOnce"],
        &[("ALARMS", alarms)],
    );
    assert!(repair.output.status.success(), "{}", errors(&repair.output));
    // Who may not read alarms can change a stack all the same.
    let unknown = Change::run(&["MAX_SESSIONS=5"], &[("FAILING", "describe-alarms")]);
    let text = errors(&unknown.output);
    assert!(unknown.output.status.success(), "{text}");
    assert!(text.contains("not known whether an alarm"), "{text}");
}
