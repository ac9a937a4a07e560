//! `scripts/deploy.sh`: what arrives at `sam`, read by the parser of the pinned `sam`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Output,
};

use e2e::binaries::workspace;
use serde_json::Value;

use super::{Passed, Scratch, errors, passed};
use crate::{settings, template::yaml};

/// Stands in for `sam`: reads the parameters with the real parser and writes down what it got. Knows the
/// outputs of one stack.
const SAM: &str = r#"
import json, os, stat, sys
from samcli.cli.types import CfnParameterOverridesType

arguments = sys.argv[1:]

def last(option):
    """The value that sam would take: of the last one, if there are several."""
    found = [following for name, following in zip(arguments, arguments[1:]) if name == option]
    return found[-1] if found else None

if arguments[:2] == ["list", "stack-outputs"]:
    with open(os.environ["REPORT"] + ".list", "w") as output:
        json.dump(arguments, output)
    outputs = os.environ.get("OUTPUTS")
    if outputs is None or arguments[3] != "weapp-network":
        sys.exit("Error: the stack does not exist")
    pairs = (line.split("=", 1) for line in outputs.split())
    print(json.dumps([{"OutputKey": key, "OutputValue": value, "Description": ""} for key, value in pairs]))
    sys.exit()
template = tags = None
if last("--template-file"):
    with open(last("--template-file")) as input:
        template = input.read()
if last("--tags"):
    from samcli.cli.types import CfnTags
    tags = CfnTags().convert((last("--tags"),), None, None)
overrides = last("--parameter-overrides")
file = overrides.removeprefix("file://")
report = {
    "arguments": arguments,
    "file": file,
    "mode": stat.S_IMODE(os.stat(file).st_mode),
    "folder": stat.S_IMODE(os.stat(os.path.dirname(file)).st_mode),
    "tags": tags,
    "template": template,
    "parameters": CfnParameterOverridesType().convert((overrides,), None, None),
}
with open(os.environ["REPORT"], "w") as output:
    json.dump(report, output)
sys.exit(int(os.environ.get("SAM_STATUS", "0")))
"#;

struct Deployment {
    scratch: Scratch,
    output: Output,
    report: Option<Value>,
}

impl Deployment {
    fn run(variables: &[(&str, &str)]) -> Self {
        Self::run_in(Scratch::new(), &[], variables)
    }

    fn run_in(scratch: Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let python = workspace().join(".tools/venv/bin/python");
        scratch.program("scripts/tools/install.sh", "#!/bin/sh\n");
        scratch.program("sam.py", SAM);
        let sam = format!(
            "#!/bin/sh\nexec '{}' '{}' \"$@\"\n",
            python.display(),
            scratch.root.join("sam.py").display()
        );
        scratch.program(".tools/venv/bin/sam", &sam);
        let report = scratch.root.join("report.json");
        let mut all = vec![("REPORT", report.to_str().unwrap())];
        all.extend(variables);
        let arguments = [&["arm64"], arguments, &["--no-confirm-changeset"]].concat();
        let output = scratch.script("deploy.sh", &arguments, &all);
        let report = fs::read(&report)
            .ok()
            .map(|text| serde_json::from_slice(&text).unwrap());
        Self {
            scratch,
            output,
            report,
        }
    }

    fn report(&self) -> &Value {
        self.report
            .as_ref()
            .unwrap_or_else(|| panic!("sam was not called:\n{}", errors(&self.output)))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.report()["parameters"][name].as_str()
    }

    /// All values of an option of `sam`.
    fn option(&self, name: &str) -> Vec<&str> {
        let arguments = self.report()["arguments"].as_array().unwrap();
        let pairs = arguments.iter().zip(&arguments[1..]);
        let found = pairs.filter(|(option, _)| *option == name);
        found.map(|(_, value)| value.as_str().unwrap()).collect()
    }
}

#[test]
fn every_parameter_of_the_template_has_a_variable_and_its_own_default() {
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template = yaml::parse(&template);
    let mut wanted: BTreeMap<_, _> = template["Parameters"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, parameter)| {
            let default = match &parameter["Default"] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (name.clone(), default)
        })
        .collect();
    // Of the build, and of the deployment itself.
    wanted.remove("Architecture");
    wanted.remove("Release");
    let passed: BTreeMap<_, _> = passed()
        .into_iter()
        .map(|(name, passed)| (name, passed.default))
        .collect();
    assert_eq!(passed, wanted);
}

#[test]
fn whole_numbers_are_those_of_the_template() {
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template = yaml::parse(&template);
    for (name, passed) in passed() {
        let is_number = template["Parameters"][&name]["Type"] == "Number";
        assert_eq!(passed.kind == "number", is_number, "{name}");
    }
    for wrong in ["1.5", "1e3", "-1", "many"] {
        let deployment = Deployment::run(&[("MEMORY_SIZE", wrong)]);
        assert!(deployment.report.is_none(), "{wrong}");
        let text = errors(&deployment.output);
        assert!(text.contains("MEMORY_SIZE is not a whole number"), "{text}");
    }
}

#[test]
fn the_documents_list_the_variables_that_are_no_settings() {
    let settings: BTreeSet<_> = settings::all().iter().map(|setting| setting.name).collect();
    for page in ["docs/deploy.md", "docs/zh/deploy.md"] {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        let passed = passed();
        let variables = passed.values().map(|passed| &*passed.variable);
        for variable in variables.filter(|name| !settings.contains(name)) {
            assert!(
                text.contains(&format!("`{variable}`")),
                "{page}: no {variable}"
            );
        }
    }
}

#[test]
fn values_arrive_as_they_are() {
    for value in [
        "redis://:aB$cdEF-1234567890@h:6379",
        "redis://user:p'a\"ss@h/0",
        "\"quoted\"",
        "'quoted'",
        r"back\slash\ and \' and \\",
        "two words and,a comma",
        "a=b Architecture=x86_64",
        "#no comment: [x] {y} & *z !t |",
        "file:///etc/passwd",
        "null",
        "小程序😀",
        "-----BEGIN\nline\n-----END",
        "$(id) `id` $HOME ${HOME}",
    ] {
        let deployment = Deployment::run(&[("REDIS_URL", value)]);
        assert!(
            deployment.output.status.success(),
            "{}",
            errors(&deployment.output)
        );
        assert_eq!(deployment.parameter("RedisUrl"), Some(value));
        assert_eq!(deployment.parameter("Architecture"), Some("arm64"));
    }
}

#[test]
fn all_entries_of_a_list_with_blanks_arrive() {
    let deployment = Deployment::run(&[
        ("WECHAT_APPIDS", "wx0000000000000001, wx0000000000000002"),
        (
            "WECHAT_SECRETS",
            " wx0000000000000001:aaaa ,\n wx0000000000000002:bbbb,",
        ),
        ("CORS_ORIGINS", "https://a.example,\thttps://b.example"),
        ("JWT_SECRETS", "a secret of several words, \"another\""),
    ]);
    for (parameter, wanted) in [
        ("WeChatAppIds", "wx0000000000000001,wx0000000000000002"),
        (
            "WeChatSecrets",
            "wx0000000000000001:aaaa,wx0000000000000002:bbbb",
        ),
        ("CorsOrigins", "https://a.example,https://b.example"),
        ("JwtSecrets", "a secret of several words,\"another\""),
    ] {
        assert_eq!(deployment.parameter(parameter), Some(wanted));
    }
}

#[test]
fn a_variable_that_is_not_set_keeps_the_stacks_value() {
    let deployment = Deployment::run(&[]);
    assert!(
        deployment.output.status.success(),
        "{}",
        errors(&deployment.output)
    );
    let parameters = deployment.report()["parameters"].as_object().unwrap();
    let names: Vec<_> = parameters.keys().collect();
    assert_eq!(names, ["Architecture", "Release"]);
}

#[test]
fn each_deployment_is_a_release_of_ten_characters() {
    let deployment = Deployment::run(&[]);
    let release = deployment.parameter("Release").unwrap();
    let is_number = release.bytes().all(|byte| byte.is_ascii_digit());
    assert!(is_number && release.len() == 10, "{release}");
}

#[test]
fn an_empty_variable_sets_its_parameter_back_to_the_default() {
    let required = [
        "WECHAT_APPIDS",
        "WECHAT_SECRETS",
        "ALARM_EMAIL",
        // Without them the stack would make a new table, or new secrets.
        "EXISTING_TABLE",
        "EXISTING_JWT_SECRET",
        "EXISTING_DATA_KEY",
    ];
    for variable in required {
        for empty in ["", " "] {
            let deployment = Deployment::run(&[(variable, empty)]);
            assert!(!deployment.output.status.success());
            assert!(deployment.report.is_none(), "{variable}");
            assert!(errors(&deployment.output).contains(&format!("{variable} is empty")));
        }
    }
    let passed = passed();
    let optional = passed
        .iter()
        .filter(|(_, passed)| !required.contains(&&*passed.variable));
    let empty: Vec<_> = optional
        .clone()
        .map(|(_, passed)| (&*passed.variable, ""))
        .collect();
    let deployment = Deployment::run(&empty);
    for (parameter, Passed { default, .. }) in optional {
        assert_eq!(
            deployment.parameter(parameter),
            Some(&**default),
            "{parameter}"
        );
    }
}

#[test]
fn values_are_in_a_private_file_that_is_removed_and_nowhere_else() {
    for status in ["0", "1"] {
        let deployment =
            Deployment::run(&[("REDIS_URL", "redis://:hunter2@h"), ("SAM_STATUS", status)]);
        let report = deployment.report();
        assert_eq!(
            (&report["mode"], &report["folder"]),
            (&0o600.into(), &0o700.into())
        );
        assert!(!report["arguments"].to_string().contains("hunter2"));
        assert!(!errors(&deployment.output).contains("hunter2"));
        assert!(!fs::exists(report["file"].as_str().unwrap()).unwrap());
        assert_eq!(deployment.output.status.code(), status.parse().ok());
        let arguments = report["arguments"].as_array().unwrap();
        assert_eq!(arguments.last().unwrap(), "--no-confirm-changeset");
        assert!(deployment.scratch.root.exists());
    }
}

#[test]
fn a_failed_deployment_without_the_required_values_is_told_them() {
    let first = Deployment::run(&[("SAM_STATUS", "1"), ("WECHAT_APPIDS", "wx1")]);
    let text = errors(&first.output);
    for needed in ["WECHAT_SECRETS=wx…", "ALARM_EMAIL="] {
        assert!(text.contains(needed), "{text}");
    }
}

#[test]
fn a_setting_that_the_stack_does_not_take_is_named() {
    let deployment = Deployment::run(&[("REDIS_CA_CERT", "ca.pem")]);
    let text = errors(&deployment.output);
    assert!(
        deployment.output.status.success() && text.contains("REDIS_CA_CERT is not passed"),
        "{text}"
    );
    let misspelled = Deployment::run(&[("WECHAT_APPID", "wx1")]);
    assert!(misspelled.report.is_none());
    assert!(errors(&misspelled.output).contains("WECHAT_APPID is not a setting"));
}

#[test]
fn a_name_that_only_looks_like_a_setting_is_named_and_does_not_stop_the_deployment() {
    let names = [
        "JWT_SECRET",
        "REDIS_URI",
        "DATA_KEY",
        "TRANSPORT_KEY",
        "MESSAGE_PUSHES",
        "TRUSTED_PROXY",
        "RATE_LIMITS",
        "BREAKER_MS",
        "MAX_SESSION",
        "NICKNAME_MIN",
    ];
    let deployment = Deployment::run(&names.map(|name| (name, "hunter2")));
    let text = errors(&deployment.output);
    assert!(deployment.report.is_some(), "{text}");
    for name in names {
        assert!(text.contains(&format!("{name} is not a setting")), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let known = Deployment::run(&[("JWT_PUBLIC_KEYS", ""), ("MAX_SESSIONS", "3")]);
    let text = errors(&known.output);
    assert!(!text.contains("is not a setting"), "{text}");
}

/// The outputs of a network stack.
const OUTPUTS: &str = "SubnetIds=subnet-1,subnet-2 SecurityGroupIds=sg-1 RedisUrl=rediss://cache.example:6379 \
    RedisMode=cluster RedisIamUser=weapp-functions RedisIamCache=weapp EgressAddress=203.0.113.7";

fn with_network(variables: &[(&str, &str)]) -> Deployment {
    let network = [("NETWORK_STACK", "weapp-network"), ("OUTPUTS", OUTPUTS)];
    Deployment::run(&network.iter().chain(variables).copied().collect::<Vec<_>>())
}

#[test]
fn a_network_stack_gives_the_parameters_that_are_its_outputs() {
    let deployment = with_network(&[]);
    for (parameter, value) in [
        ("SubnetIds", "subnet-1,subnet-2"),
        ("SecurityGroupIds", "sg-1"),
        ("RedisUrl", "rediss://cache.example:6379"),
        ("RedisMode", "cluster"),
        ("RedisIamUser", "weapp-functions"),
        ("RedisIamCache", "weapp"),
    ] {
        assert_eq!(deployment.parameter(parameter), Some(value));
    }
    let parameters = deployment.report()["parameters"].as_object().unwrap();
    assert_eq!(parameters.len(), 6 + 2);
}

/// A password would not go with the user of another cache.
#[test]
fn a_redis_that_is_set_is_used_without_that_of_the_network_stack() {
    let deployment = with_network(&[("REDIS_URL", "rediss://:hunter2@h")]);
    assert_eq!(
        deployment.parameter("RedisUrl"),
        Some("rediss://:hunter2@h")
    );
    // Those that the stack has would not go with it either.
    assert_eq!(deployment.parameter("RedisIamUser"), Some(""));
    assert_eq!(deployment.parameter("RedisIamCache"), Some(""));
    assert_eq!(deployment.parameter("RedisMode"), None);
    assert_eq!(deployment.parameter("SecurityGroupIds"), Some("sg-1"));
    let text = errors(&deployment.output);
    assert!(text.contains("REDIS_URL is set"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let own = Deployment::run(&[
        ("REDIS_URL", "rediss://h"),
        ("REDIS_IAM_USER", "me"),
        ("REDIS_IAM_CACHE", "mine"),
    ]);
    assert_eq!(own.parameter("RedisIamUser"), Some("me"));
    assert_eq!(own.parameter("RedisIamCache"), Some("mine"));
}

#[test]
fn nothing_is_deployed_without_the_network_stack_that_is_named() {
    let deployment = Deployment::run(&[("NETWORK_STACK", "weapp-network")]);
    assert!(deployment.report.is_none());
    let text = errors(&deployment.output);
    assert!(text.contains("weapp-network can't be read"), "{text}");
}

#[test]
fn tags_arrive_and_what_is_none_is_refused() {
    let deployment = Deployment::run(&[("TAGS", "team=mini-program  env=prod")]);
    let tags = serde_json::json!({"team": "mini-program", "env": "prod"});
    assert_eq!(deployment.report()["tags"], tags);
    let untagged = Deployment::run(&[]);
    assert!(untagged.report()["tags"].is_null());
    for wrong in ["prod", "a=b c", "=b", "a=$(id)"] {
        let deployment = Deployment::run(&[("TAGS", wrong)]);
        assert!(deployment.report.is_none(), "{wrong}");
    }
}

/// Stands in for the SDK: the limits of an account, by profile and region if these are named, and one stack with
/// its quota, unless that is `none`.
const BOTO3: &str = r#"
import os
from botocore.exceptions import ClientError

REGIONS = {"other": "cn-north-1"}

class Client:
    def __init__(self, limits):
        self.limits = limits

    def get_account_settings(self):
        total, free = map(int, os.environ[self.limits].split())
        return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}}

    def describe_stacks(self, StackName):
        name, _, quota = os.environ.get("STACKS", "").partition("=")
        if quota == "denied":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeStacks")
        if name != StackName:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        parameters = [{"ParameterKey": "LogLevel", "ParameterValue": "info"}]
        if quota != "none":
            parameters.append({"ParameterKey": "ConcurrencyQuota", "ParameterValue": quota})
        return {"Stacks": [{"Parameters": parameters}]}

    def describe_alarms(self, AlarmNamePrefix, StateValue):
        assert StateValue == "ALARM"
        names = os.environ.get("ALARMS", "").split()
        return {"MetricAlarms": [{"AlarmName": name} for name in names if name.startswith(AlarmNamePrefix)]}

class Session:
    def __init__(self, profile_name=None, region_name=None):
        self.limits = "_".join(filter(None, ["LIMITS", profile_name, region_name])).replace("-", "_")
        self.region_name = region_name or os.environ.get("AWS_DEFAULT_REGION") or REGIONS.get(profile_name)

    def client(self, name, config):
        assert name in ("lambda", "cloudformation", "cloudwatch")
        return Client(self.limits)
"#;

/// What `quota.py` says of ten functions in an account with these limits.
fn quota(limits: &str, reserved: &str, told: &[&str], stacks: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("boto3.py"), BOTO3).unwrap();
    let output = std::process::Command::new(workspace().join(".tools/venv/bin/python"))
        .arg(workspace().join("scripts/quota.py"))
        .arg("--template")
        .arg(workspace().join("template.yaml"))
        .args(told)
        .args(["10", reserved])
        .env("PYTHONPATH", folder.path())
        .env("STACKS", stacks)
        .env("LIMITS", limits)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output)
}

#[test]
fn the_quota_is_told_and_whether_what_is_reserved_fits() {
    let plain = quota("1000 900", "0", &[], "");
    assert!(
        plain.contains("allows 1000 concurrent executions"),
        "{plain}"
    );
    assert!(!plain.contains("warning"), "{plain}");
    for (limits, reserved, told, warning) in [
        ("1000 1000", "90", "1000", ""),
        ("1000 1000", "91", "1000", "does not fit"),
        ("10 10", "1", "10", "does not fit"),
        (
            "1000 300",
            "50",
            "1000",
            "only if what is reserved now is this stack's",
        ),
        (
            "10 10",
            "0",
            "1000",
            "CONCURRENCY_QUOTA=1000 is another quota",
        ),
    ] {
        let text = quota(limits, reserved, &["--quota", told], "");
        let is_right = match warning {
            "" => !text.contains("warning"),
            warning => text.contains(warning),
        };
        assert!(is_right, "{limits} {reserved}: {text}");
    }
    let unknown = quota("none", "0", &[], "");
    assert!(unknown.contains("can't be read: ValueError"), "{unknown}");
}

#[test]
fn a_quota_that_is_not_set_is_what_the_stack_has_or_the_default() {
    for (limits, stacks, warning) in [
        ("1000 1000", "", ""),
        ("10 10", "", "=1000, the default, is another quota"),
        (
            "10 10",
            "another=10",
            "=1000, the default, is another quota",
        ),
        // Of an older template.
        ("10 10", "mine=none", "=1000, the default, is another quota"),
        ("10 10", "mine=10", ""),
        (
            "1000 1000",
            "mine=10",
            "=10, which the stack has, is another quota",
        ),
        ("10 10", "mine=denied", "has can't be read: ClientError"),
    ] {
        let text = quota(limits, "0", &["--stack", "mine"], stacks);
        let is_right = match warning {
            "" => !text.contains("warning"),
            warning => text.contains(warning),
        };
        assert!(is_right, "{limits} {stacks}: {text}");
    }
}

#[test]
fn a_deployment_compares_the_quota_with_what_its_stack_will_have() {
    let own = "=10, which the stack has, is another quota";
    let plain = [("LIMITS", "1000 1000"), ("STACKS", "weapp-serverless=10")];
    let deployment = Deployment::run_in(built(), &[], &plain);
    let text = errors(&deployment.output);
    assert!(text.contains(own), "{text}");
    let set = [plain[0], plain[1], ("CONCURRENCY_QUOTA", "1000")];
    let text = errors(&Deployment::run_in(built(), &[], &set).output);
    assert!(!text.contains("warning"), "{text}");
    let empty = [plain[0], plain[1], ("CONCURRENCY_QUOTA", " ")];
    let text = errors(&Deployment::run_in(built(), &[], &empty).output);
    assert!(!text.contains("warning"), "{text}");
}

#[test]
fn while_requests_fail_only_a_deployment_that_no_alarm_ends_is_begun() {
    let alarms = ("ALARMS", "weapp-serverless-rollback-login other-rollback-x");
    let limits = ("LIMITS", "1000 1000");
    let refused = Deployment::run_in(built(), &[], &[alarms, limits]);
    let text = errors(&refused.output);
    assert!(refused.report.is_none(), "{text}");
    assert!(!refused.output.status.success());
    assert!(text.contains("weapp-serverless-rollback-login"), "{text}");
    assert!(!text.contains("other-rollback-x"), "{text}");
    assert!(text.contains("DEPLOYMENT_PREFERENCE=AllAtOnce"), "{text}");
    let at_once = ("DEPLOYMENT_PREFERENCE", "AllAtOnce");
    let repair = Deployment::run_in(built(), &[], &[alarms, limits, at_once]);
    assert!(repair.report.is_some(), "{}", errors(&repair.output));
}

/// However they are written.
#[test]
fn account_region_and_stack_in_the_arguments_hold_for_what_is_asked() {
    for arguments in [
        "--profile other --region eu-west-1 --stack-name mine",
        "--profile=other --region=eu-west-1 --stack-name=mine",
    ] {
        let variables = [
            ("LIMITS_other_eu_west_1", "1000 1000"),
            ("STACKS", "mine=10"),
            ("AWS_REGION", "cn-north-1"),
            ("NETWORK_STACK", "weapp-network"),
            ("OUTPUTS", OUTPUTS),
        ];
        let arguments: Vec<_> = arguments.split(' ').collect();
        let deployment = Deployment::run_in(built(), &arguments, &variables);
        let text = errors(&deployment.output);
        assert!(text.contains("=10, which the stack has,"), "{text}");
        assert!(deployment.option("--template-file").is_empty());
        let list = deployment.scratch.root.join("report.json.list");
        let list: Vec<String> = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
        let wanted = ["--profile", "other", "--region", "eu-west-1"];
        assert!(list.ends_with(&wanted.map(str::to_owned)), "{list:?}");
    }
    // The region of a profile that is named.
    let china = Deployment::run_in(built(), &["--profile", "other"], &[]);
    assert!(!china.report()["template"].is_null());
}

#[test]
fn no_function_keeps_more_instances_started_than_it_may_have() {
    let variables = [
        ("RESERVED_CONCURRENCY", "5"),
        ("PROVISIONED_CONCURRENCY", "6"),
    ];
    let deployment = Deployment::run(&variables);
    assert!(deployment.report.is_none());
    let text = errors(&deployment.output);
    assert!(text.contains("is above RESERVED_CONCURRENCY"), "{text}");
    let fits = Deployment::run(&[variables[0], ("PROVISIONED_CONCURRENCY", "5")]);
    assert_eq!(fits.parameter("ReservedConcurrency"), Some("5"));
}

/// A project that was built, with the tools' Python, and the SDK that stands in.
fn built() -> Scratch {
    let scratch = Scratch::new();
    let python = workspace().join(".tools/venv/bin/python");
    let sdk = scratch.program("sdk/boto3.py", BOTO3);
    let python = format!(
        "#!/bin/sh\nPYTHONPATH='{}' exec '{}' \"$@\"\n",
        sdk.parent().unwrap().display(),
        python.display()
    );
    scratch.program(".tools/venv/bin/python", &python);
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    scratch.program(".aws-sam/build/template.yaml", &template);
    scratch
}

/// They refuse a template that names a type of resource that they don't know.
#[test]
fn regions_in_china_get_a_template_with_what_they_know() {
    let unknown = "AWS::CloudFront::OriginAccessControl";
    let named = |region| Deployment::run_in(built(), &["--region", region], &[]);
    let set = |region| Deployment::run_in(built(), &[], &[("AWS_REGION", region)]);
    for deployment in [named("cn-north-1"), set("cn-northwest-1")] {
        let template = deployment.report()["template"].as_str().unwrap();
        assert!(!template.contains(unknown));
        let (china, own) = (yaml::parse(template), &template_of("template.yaml"));
        let resources = |of: &Value| of["Resources"].as_object().unwrap().len();
        assert_eq!(resources(&china), resources(own) - 1);
        assert_eq!(china["Parameters"], own["Parameters"]);
        assert_eq!(china["Rules"], own["Rules"]);
        let file = deployment.option("--template-file");
        assert_eq!(file, [".aws-sam/build/template.china.yaml"]);
        // Otherwise sam looks for it beside the template.
        let settings = deployment.scratch.root.join("samconfig.toml");
        let file = deployment.option("--config-file");
        assert_eq!(file, [settings.to_str().unwrap()]);
    }
    for deployment in [named("ap-southeast-1"), set("eu-west-1")] {
        assert!(deployment.report()["template"].is_null());
    }
}

fn template_of(file: &str) -> Value {
    yaml::parse(&fs::read_to_string(workspace().join(file)).unwrap())
}
