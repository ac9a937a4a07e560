//! The list of functions, in each place where it stands.

use std::{collections::BTreeSet, fs, process::Command};

use e2e::binaries::workspace;
use serde_json::Value;

use super::{assert_none, rendered};

type Names = BTreeSet<String>;

fn folders(parent: &str) -> Names {
    let entries = fs::read_dir(workspace().join(parent)).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir());
    folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// What follows `functions/` in a text, up to one of `ends`.
fn mentioned(text: &str, ends: &[char]) -> Names {
    let parts = text.split("functions/").skip(1);
    let names = parts.filter_map(|part| part.split(ends).next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The functions that a package depends on.
fn dependencies_of(package: &str) -> Names {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package);
    let dependencies = found.unwrap()["dependencies"].as_array().unwrap();
    let paths = dependencies
        .iter()
        .filter_map(|dependency| dependency["path"].as_str());
    paths.flat_map(|path| mentioned(path, &['/'])).collect()
}

/// The workspace as cargo understands it.
pub fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(workspace())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_list_of_functions_is_that_of_the_folders() {
    let folders_of_functions = folders("functions");
    let deployed = rendered(&[]).functions();
    let lists: [(&str, Names); 7] = [
        (
            "gateway/src/functions.rs, FUNCTIONS and WORKERS",
            crate::functions::all()
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        ),
        (
            "gateway/Cargo.toml, dependencies",
            dependencies_of("gateway"),
        ),
        ("local/Cargo.toml, dependencies", dependencies_of("local")),
        (
            "Cargo.toml, dependencies",
            mentioned(&read("Cargo.toml"), &['"', '*']),
        ),
        (
            "template.yaml, CodeUri of the functions",
            deployed
                .into_iter()
                .map(|function| function.package)
                .collect(),
        ),
        ("events/, folders", folders("events")),
        (
            "docs/architecture.md, table of folders",
            mentioned(&read("docs/architecture.md"), &['/', '`']),
        ),
    ];
    let mut wrong = Vec::new();
    for (place, names) in lists {
        let missing = folders_of_functions.difference(&names);
        wrong.extend(missing.map(|name| format!("{place}: {name} is missing")));
        let unknown = names.difference(&folders_of_functions);
        wrong.extend(unknown.map(|name| format!("{place}: there is no functions/{name}/")));
    }
    assert_none(&wrong);
}

/// Lambda leaves out its START, END and REPORT lines only with its JSON format, which leaves the
/// lines of functions as they are, down to the level that is set.
#[test]
fn lambdas_own_lines_can_be_left_out() {
    for (platform_logs, format, level, own) in [
        ("on", "Text", Value::Null, Value::Null),
        ("off", "JSON", Value::from("WARN"), Value::from("TRACE")),
    ] {
        for function in rendered(&[("PlatformLogs", platform_logs)]).functions() {
            let logging = &function.properties["LoggingConfig"];
            let name = &function.resource;
            assert_eq!(logging["LogFormat"], format, "{name}");
            assert_eq!(logging["SystemLogLevel"], level, "{name}");
            assert_eq!(logging["ApplicationLogLevel"], own, "{name}");
            assert!(logging["LogGroup"].is_string(), "{name}");
        }
    }
}
