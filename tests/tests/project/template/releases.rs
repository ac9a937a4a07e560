//! What a deployment publishes, in the template as AWS's own transform leaves it.

use std::{collections::BTreeSet, process::Command};

use e2e::binaries::workspace;
use serde_json::{Map, Value};

use super::{SOURCE, rendered};

/// The resources, with the transform applied.
pub fn transformed(parameters: &[&str]) -> Map<String, Value> {
    let root = workspace();
    let output = Command::new(root.join(".tools/venv/bin/python"))
        .arg("scripts/template/transform.py")
        .args(parameters)
        .current_dir(root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "scripts/tools/install.sh template: {errors}"
    );
    let template: Value = serde_json::from_slice(&output.stdout).unwrap();
    template["Resources"].as_object().unwrap().clone()
}

pub fn of_kind<'r>(resources: &'r Map<String, Value>, kind: &str) -> BTreeSet<&'r str> {
    let of_kind = resources.iter().filter(|(_, it)| it["Type"] == kind);
    of_kind.map(|(name, _)| &**name).collect()
}

const VERSION: &str = "AWS::Lambda::Version";

#[test]
fn another_release_publishes_a_new_version_of_every_function() {
    let [one, other] = ["Release=1795420800", "Release=1795420801"].map(|it| transformed(&[it]));
    let (before, after) = (of_kind(&one, VERSION), of_kind(&other, VERSION));
    let functions = rendered(&[]).functions().len();
    assert_eq!((before.len(), after.len()), (functions, functions));
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
    // Lambda publishes no version of a function that has not changed.
    for name in of_kind(&one, "AWS::Lambda::Function") {
        let description = |of: &Map<String, Value>| of[name]["Properties"]["Description"].clone();
        assert_ne!(description(&one), description(&other), "{name}");
    }
}

/// Why a release needs a value of its own.
#[test]
fn a_changed_value_alone_publishes_nothing() {
    let one = transformed(&["Release=1795420800", "LogLevel=info"]);
    let other = transformed(&["Release=1795420800", "LogLevel=debug"]);
    assert_eq!(of_kind(&one, VERSION), of_kind(&other, VERSION));
}

/// How long `sam deploy` waits for a deployment, in minutes.
const WAIT: u32 = 60;

/// How many of them a deployment has for everything but its traffic.
const REST: u32 = 15;

/// How long the traffic takes to move, in minutes.
fn minutes(preference: &str) -> u32 {
    let Some((kind, pace)) = preference.split_once("10Percent") else {
        return 0;
    };
    let digits: String = pace.chars().filter(char::is_ascii_digit).collect();
    let minutes: u32 = digits.parse().unwrap();
    match kind {
        "Canary" => minutes,
        "Linear" => 10 * minutes,
        other => panic!("what is {other}?"),
    }
}

#[test]
fn a_deployment_ends_while_it_is_waited_for() {
    let preferences = &SOURCE["Parameters"]["DeploymentPreference"]["AllowedValues"];
    let mut preferences = preferences.as_array().unwrap().iter();
    assert!(preferences.len() > 3);
    let too_slow = preferences.find(|it| minutes(it.as_str().unwrap()) + REST > WAIT);
    assert_eq!(too_slow, None);
}

#[test]
fn the_alias_that_a_deployment_moves_is_what_is_called() {
    let resources = transformed(&["Release=1795420800"]);
    let functions = rendered(&[]).functions().into_iter();
    let authorizer = functions.filter(|function| function.package == "authorizer");
    let called_by_others: BTreeSet<_> = authorizer
        .map(|function| format!("{}Aliaslive", function.resource))
        .collect();
    assert_eq!(called_by_others.len(), 1, "{called_by_others:?}");
    let aliases = of_kind(&resources, "AWS::Lambda::Alias");
    assert_eq!(aliases.len(), rendered(&[]).functions().len());
    let callers = [
        "Api",
        "ChangesMapping",
        "MessagesFunctionQueue",
        "WebhooksFunctionQueue",
    ];
    let callers = callers.map(|caller| resources[caller].to_string()).concat();
    for alias in aliases {
        assert!(resources[alias].get("UpdatePolicy").is_some(), "{alias}");
        if called_by_others.contains(alias) {
            continue;
        }
        let is_called = [format!("${{{alias}}}"), format!(r#""Ref":"{alias}""#)]
            .iter()
            .any(|reference| callers.contains(reference));
        assert!(is_called, "{alias} is not called");
    }
}
