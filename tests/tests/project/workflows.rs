//! The workflows of `.github`: what they run can be run here, and what they may do is no more than they
//! say. `make check` runs actionlint and zizmor on them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::{root, template::yaml};

/// The workflows, by the names of their files.
fn workflows() -> Vec<(String, Value)> {
    let folder = root().join(".github/workflows");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 4, "{paths:?}");
    let workflow = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, yaml::parse(&fs::read_to_string(path).unwrap()))
    };
    paths.into_iter().map(workflow).collect()
}

fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().unwrap().iter()
}

fn steps(workflow: &Value) -> impl Iterator<Item = &Value> {
    jobs(workflow).flat_map(|(_, job)| job["steps"].as_array().into_iter().flatten())
}

/// The targets of the Makefile.
fn targets() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("Makefile")).unwrap();
    let phony = text.lines().find_map(|line| line.strip_prefix(".PHONY:"));
    phony
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Programs of the runners, for what can be done nowhere else.
const OF_THE_RUNNER: [&str; 4] = ["rustup", "cargo", "gh", "docker"];

#[test]
fn the_steps_are_the_projects_own_commands() {
    let (targets, mut count) = (targets(), 0);
    for (name, workflow) in workflows() {
        for step in steps(&workflow) {
            let Some(run) = step["run"].as_str() else {
                continue;
            };
            for line in run.lines() {
                let mut words = line.split_whitespace();
                let is_known = match words.next().unwrap() {
                    "make" => targets.contains(words.next().unwrap()),
                    "bash" => root().join(words.next().unwrap()).is_file(),
                    program if program.starts_with("scripts/") => root().join(program).is_file(),
                    program => OF_THE_RUNNER.contains(&program),
                };
                assert!(is_known, "{name}: {line}");
                count += 1;
            }
        }
    }
    assert!(count >= 10, "only {count} commands");
}

#[test]
fn a_job_has_only_the_permissions_that_it_names_and_ends() {
    for (name, workflow) in workflows() {
        let all = workflow["permissions"].as_object();
        assert!(all.is_some_and(serde_json::Map::is_empty), "{name}");
        for (job, description) in jobs(&workflow) {
            assert!(description["permissions"].is_object(), "{name}: {job}");
            // A workflow that is called has its own.
            let ends =
                description["timeout-minutes"].is_number() || description["uses"].is_string();
            assert!(ends, "{name}: {job} has no timeout");
        }
    }
}

#[test]
fn actions_are_named_by_their_commits_everywhere_the_same() {
    let mut seen = BTreeSet::new();
    for (name, _) in workflows() {
        let text = fs::read_to_string(root().join(".github/workflows").join(&name)).unwrap();
        let uses = text.lines().filter_map(|line| line.split_once("uses: "));
        for (_, action) in uses.filter(|(_, action)| !action.starts_with("./")) {
            let (repository, rest) = action.split_once('@').unwrap();
            let (commit, version) = rest.split_once(" # v").unwrap_or((rest, ""));
            let is_commit = commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{name}: {action}");
            seen.insert((repository.to_owned(), commit.to_owned()));
        }
    }
    let repositories: BTreeSet<_> = seen.iter().map(|(repository, _)| repository).collect();
    assert_eq!(repositories.len(), seen.len(), "{seen:?}");
}

/// `production` waits for `staging`, whose last step asks the deployment a few questions.
#[test]
fn production_is_deployed_after_staging_has_answered() {
    let workflows = workflows();
    let find = |name: &str| &workflows.iter().find(|(file, _)| file == name).unwrap().1;
    let (release, deploy) = (find("release.yml"), find("deploy.yml"));
    for (job, after) in [("staging", "publish"), ("production", "staging")] {
        let job_of = &release["jobs"][job];
        assert_eq!(job_of["needs"], after);
        assert_eq!(job_of["uses"], "./.github/workflows/deploy.yml");
        assert_eq!(job_of["with"]["environment"], job);
    }
    let commands: Vec<_> = steps(deploy)
        .filter_map(|step| step["run"].as_str())
        .collect();
    assert_eq!(commands, ["make deploy", "make smoke"]);
    let environment = &deploy["jobs"]["deploy"]["environment"]["name"];
    assert_eq!(*environment, "${{ inputs.environment }}");
}

/// Dependabot looks where the project's dependencies are.
#[test]
fn dependabot_knows_every_folder_with_dependencies() {
    let text = fs::read_to_string(root().join(".github/dependabot.yml")).unwrap();
    let dependabot = yaml::parse(&text);
    let mut known = BTreeSet::new();
    for update in dependabot["updates"].as_array().unwrap() {
        let ecosystem = update["package-ecosystem"].as_str().unwrap();
        let folders = update["directories"].as_array().into_iter().flatten();
        for folder in folders.chain([&update["directory"]]) {
            known.extend(
                folder
                    .as_str()
                    .map(|folder| format!("{ecosystem} {folder}")),
            );
        }
    }
    let mut wanted: BTreeSet<_> = ["cargo /", "pip /scripts/tools", "github-actions /"]
        .map(str::to_owned)
        .into();
    for folder in ["miniprogram", "tests", "examples"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.join("package-lock.json").is_file() {
                let name = path.file_name().unwrap().to_str().unwrap();
                wanted.insert(format!("npm /{folder}/{name}"));
            }
        }
    }
    for (file, ecosystem) in [
        ("Dockerfile", "docker /"),
        ("compose.yaml", "docker-compose /"),
    ] {
        if root().join(file).is_file() {
            wanted.insert(ecosystem.to_owned());
        }
    }
    assert_eq!(known, wanted);
}
