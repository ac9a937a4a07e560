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

/// Stands in for `sam`: reads the parameters with the real parser and writes down what it got.
const SAM: &str = r#"
import json, os, stat, sys
from samcli.cli.types import CfnParameterOverridesType

arguments = sys.argv[1:]
overrides = arguments[arguments.index("--parameter-overrides") + 1]
file = overrides.removeprefix("file://")
report = {
    "arguments": arguments,
    "file": file,
    "mode": stat.S_IMODE(os.stat(file).st_mode),
    "folder": stat.S_IMODE(os.stat(os.path.dirname(file)).st_mode),
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
        let scratch = Scratch::new();
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
        let output = scratch.script("deploy.sh", &["arm64", "--no-confirm-changeset"], &all);
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
