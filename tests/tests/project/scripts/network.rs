//! `scripts/network.sh`: what arrives at `sam`.

use std::fs;

use super::{Scratch, errors};

/// The arguments of `sam`, or why there are none.
fn sam(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let scratch = Scratch::new();
    scratch.program("scripts/tools/install.sh", "#!/bin/sh\n");
    let record = "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$REPORT\"\n";
    scratch.program(".tools/venv/bin/sam", record);
    let report = scratch.root.join("report");
    let mut all = vec![("REPORT", report.to_str().unwrap())];
    all.extend(variables);
    let output = scratch.script("network.sh", arguments, &all);
    let text = fs::read_to_string(&report).map_err(|_| errors(&output))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[test]
fn the_network_is_a_stack_of_its_own() {
    let plain = sam(&[], &[]).unwrap();
    let wanted = [
        "deploy",
        "--template-file",
        "network.yaml",
        "--stack-name",
        "weapp-network",
    ];
    assert_eq!(plain, wanted);
    let other = sam(
        &["CacheMaxGb=5", "--no-confirm-changeset", "Cache=public"],
        &[
            ("NETWORK_STACK", "shop-network"),
            ("TAGS", "team=shop env=prod"),
        ],
    );
    let wanted = [
        "deploy",
        "--template-file",
        "network.yaml",
        "--stack-name",
        "shop-network",
        "--no-confirm-changeset",
        "--parameter-overrides",
        "CacheMaxGb=5",
        "Cache=public",
        "--tags",
        "team=shop env=prod",
    ];
    assert_eq!(other.unwrap(), wanted);
}

#[test]
fn an_argument_that_is_no_parameter_is_refused() {
    let refused = sam(&["CacheMaxGb"], &[]).unwrap_err();
    assert!(
        refused.contains("CacheMaxGb is neither Parameter=value"),
        "{refused}"
    );
}
