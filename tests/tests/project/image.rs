//! The Dockerfile and `compose.yaml`. `make check` runs hadolint on the first one, and
//! `tests/lambda/server/image.rs` starts what it makes.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use crate::{root, settings, template::yaml};

fn lines(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches(['/', '*']));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Keys, data and settings of the machine that builds are in no image, and in no cache of one.
#[test]
fn what_git_ignores_is_not_sent_to_a_build() {
    let (of_git, of_docker) = (lines(".gitignore"), lines(".dockerignore"));
    let missing: Vec<_> = of_git.difference(&of_docker).collect();
    assert!(missing.is_empty(), ".dockerignore lacks {missing:?}");
}

fn compose() -> Value {
    yaml::parse(&fs::read_to_string(root().join("compose.yaml")).unwrap())
}

#[test]
fn compose_gives_the_server_settings_that_there_are() {
    let compose = compose();
    let known: BTreeSet<_> = settings::all().iter().map(|setting| setting.name).collect();
    for service in ["server", "table"] {
        let service = &compose["services"][service];
        // Everything else, as it stands there.
        assert_eq!(service["env_file"][0]["path"], ".env");
        assert_eq!(service["env_file"][0]["format"], "raw");
        let environment = service["environment"].as_object().unwrap();
        for name in environment.keys() {
            assert!(known.contains(name.as_str()), "{name} is not a setting");
        }
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"][0], "ALL");
    }
    // The server trusts what the gateway of the network says of addresses, and nobody else's word.
    let gateway = &compose["networks"]["weapp"]["ipam"]["config"][0]["gateway"];
    let trusted = &compose["services"]["server"]["environment"]["TRUSTED_PROXIES"];
    assert_eq!(trusted, gateway);
}

#[test]
fn nothing_of_compose_can_be_called_from_other_machines() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        let ports = service["ports"].as_array().into_iter().flatten();
        for port in ports.map(|port| port.as_str().unwrap()) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}

#[test]
fn compose_waits_for_longer_than_the_server_takes_to_stop() {
    let compose = compose();
    let grace = compose["services"]["server"]["stop_grace_period"].as_str();
    let grace: u32 = grace.unwrap().trim_end_matches('s').parse().unwrap();
    let seconds = |name: &str| {
        let setting = settings::all()
            .into_iter()
            .find(|setting| setting.name == name);
        let shared::config::Form::Number { default, unit, .. } = setting.unwrap().form else {
            panic!("{name} is no length of time");
        };
        assert_eq!(unit, Some("s"));
        default
    };
    assert!(grace > seconds("SHUTDOWN_DELAY_SECONDS") + seconds("SHUTDOWN_SECONDS"));
}
