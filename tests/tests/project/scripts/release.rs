//! `make release`, with builds that leave tiny programs, and `make deploy` of what it made.

mod deployed;
mod elf;
mod image;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::binaries::workspace;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Scratch, copy, errors, path};
use crate::template::yaml;

/// Stands in for git, in a clone without changes unless `DIRTY` says otherwise.
const GIT: &str = r#"#!/bin/sh
case "$1" in
  rev-parse) echo 0123456789abcdef0123456789abcdef01234567 ;;
  status) printf '%s' "${DIRTY:-}" ;;
  log) echo 1764000000 ;;
  *) exit 1 ;;
esac
"#;

/// Stands in for scripts/build.sh: leaves a program for each function of the template.
const BUILD: &str = r#"#!/bin/sh
awk '/^  [A-Za-z]+:$/ { name = $1 } /^ +CodeUri: functions/ { sub(":", "", name); print name }' template.yaml |
  while read -r name; do
    mkdir -p ".aws-sam/build/$name"
    cp "built/$1" ".aws-sam/build/$name/bootstrap"
  done
"#;

/// Stands in for cargo and cargo-zigbuild: leaves a program where they would.
const CARGO: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in -p) name="$2" ;; --target) target="$2" ;; esac
  shift
done
mkdir -p "target/$target/release"
cp "built/${target%%-*}" "target/$target/release/$name"
"#;

/// Stands in for cargo-cyclonedx.
const CYCLONEDX: &str = r#"#!/bin/sh
if [ "$2" = --version ]; then echo "cargo-cyclonedx-cyclonedx VERSION"; exit; fi
for manifest in functions/*/Cargo.toml local/Cargo.toml server/Cargo.toml; do
  [ -f "$manifest" ] || continue
  folder="$(pwd -P)/${manifest%/Cargo.toml}"
  echo "{\"bomFormat\":\"CycloneDX\",\"bom-ref\":\"path+file://$folder#0.1.0\"}" >"$folder/release.sbom.json"
done
"#;

/// What runs without Lambda.
const PROGRAMS: [&str; 2] = ["local", "server"];

/// The version that the tree can be released as.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The bytes of the program that a build for this architecture leaves.
fn program(architecture: &str) -> Vec<u8> {
    let machine = if architecture == "x86_64" { 62 } else { 183 };
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    // ET_DYN, the machine, the version, and the sizes of this header and of others.
    for (at, value) in [
        (16, 3),
        (18, machine),
        (20, 1),
        (52, 64),
        (54, 56),
        (58, 64),
    ] {
        header[at] = value;
    }
    header
}

/// A folder in which releases can be made.
struct Workshop {
    scratch: Scratch,
}

impl Workshop {
    fn new() -> Self {
        let scratch = Scratch::new();
        for file in ["bench/budget.toml", "shared/row-formats.json"] {
            copy(&workspace().join(file), &scratch.root.join(file));
        }
        for function in functions() {
            let manifest = format!("functions/{function}/Cargo.toml");
            copy(&workspace().join(&manifest), &scratch.root.join(&manifest));
        }
        for program in PROGRAMS {
            let manifest = format!("{program}/Cargo.toml");
            copy(&workspace().join(&manifest), &scratch.root.join(&manifest));
        }
        scratch.program("scripts/tools/install.sh", "#!/bin/sh\n");
        scratch.program("scripts/build.sh", BUILD);
        scratch.program("bin/git", GIT);
        scratch.program("bin/rustup", "#!/bin/sh\n");
        scratch.program("bin/cargo", CARGO);
        scratch.program("bin/cargo-zigbuild", CARGO);
        let script = fs::read_to_string(workspace().join("scripts/release.sh")).unwrap();
        let version = script.split_once("generator=").unwrap().1;
        let version = version.lines().next().unwrap();
        let generator = CYCLONEDX.replace("VERSION", version);
        scratch.program(".tools/bin/cargo-cyclonedx", &generator);
        fs::create_dir(scratch.root.join("built")).unwrap();
        for architecture in ["arm64", "aarch64", "x86_64"] {
            let file = scratch.root.join("built").join(architecture);
            fs::write(file, program(architecture)).unwrap();
        }
        Self { scratch }
    }

    /// Runs the script with these arguments and variables.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let path = self.path();
        let targets = "aarch64-unknown-linux-musl x86_64-unknown-linux-musl";
        let mut all = vec![("PATH", &*path), ("TARGETS", targets)];
        all.extend(variables);
        self.scratch.script("release.sh", arguments, &all)
    }

    /// Makes a release, and returns its folder.
    fn release(&self, out: &str) -> PathBuf {
        let output = self.run(&[VERSION, out], &[]);
        assert!(output.status.success(), "{}", errors(&output));
        self.scratch.root.join(out)
    }

    /// Expects that no release is made; why.
    fn refusal(&self, version: &str, variables: &[(&str, &str)]) -> String {
        let output = self.run(&[version, "out"], variables);
        assert!(!output.status.success());
        let sums = self.scratch.root.join("out/SHA256SUMS");
        assert!(!sums.exists(), "a release was made");
        errors(&output)
    }

    /// The stand-ins before the machine's programs.
    fn path(&self) -> String {
        format!("{}:{}", self.scratch.root.join("bin").display(), path())
    }
}

/// The functions, by the names of their folders.
fn functions() -> Vec<String> {
    let template = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    let template = yaml::parse(&template);
    let resources = template["Resources"].as_object().unwrap().values();
    let code = resources.filter_map(|it| it["Properties"]["CodeUri"].as_str());
    let names = code.map(|uri| uri.strip_prefix("functions/").unwrap().to_owned());
    names.collect()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    entries.map(|entry| file(entry.unwrap())).collect()
}

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_release_has_everything_in_one_flat_folder() {
    let workshop = Workshop::new();
    let folder = workshop.release("my release");
    let files = files(&folder);
    let mut wanted = vec!["SHA256SUMS".to_owned(), "manifest.json".to_owned()];
    for function in functions() {
        wanted.push(format!("{function}-arm64.zip"));
        wanted.push(format!("{function}-x86_64.zip"));
        wanted.push(format!("{function}.cdx.json"));
    }
    wanted.extend(["arm64", "x86_64"].map(|it| format!("template-{it}.yaml")));
    for program in PROGRAMS {
        let of = |it| format!("{program}-{it}-unknown-linux-musl.tar.gz");
        wanted.extend(["aarch64", "x86_64"].map(of));
        wanted.push(format!("{program}.cdx.json"));
    }
    wanted.sort();
    let names: Vec<_> = files.keys().collect();
    assert_eq!(names, wanted.iter().collect::<Vec<_>>());
    // In the form of sha256sum.
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    let mut listed = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let digest = Sha256::digest(&files[name]);
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert_eq!(sum, hex, "{name}");
        listed.push(name);
    }
    wanted.retain(|name| name != "SHA256SUMS");
    assert_eq!(listed, wanted);
}

#[test]
fn the_same_tree_makes_the_same_bytes() {
    let workshop = Workshop::new();
    let one = workshop.release("one");
    let other = workshop.release("other");
    let (one, other) = (files(&one), files(&other));
    for (name, content) in &one {
        assert!(content == &other[name], "{name}");
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn an_unpacked_function_is_a_program_called_bootstrap() {
    let workshop = Workshop::new();
    let folder = workshop.release("out");
    let unpacked = workshop.scratch.root.join("unpacked");
    for (architecture, target) in [("arm64", "aarch64"), ("x86_64", "x86_64")] {
        let unzip = "import subprocess, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.extractall(sys.argv[2]); \
                     print(z.namelist(), oct(z.infolist()[0].external_attr >> 16))";
        let zip = folder.join(format!("health-{architecture}.zip"));
        let output = Command::new("python3")
            .args(["-c", unzip])
            .args([&zip, &unpacked])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim(), "['bootstrap'] 0o100755");
        let content = fs::read(unpacked.join("bootstrap")).unwrap();
        assert_eq!(content, program(architecture));
        let tar = folder.join(format!("local-{target}-unknown-linux-musl.tar.gz"));
        let mut command = Command::new("tar");
        command.arg("-xzf").arg(tar).arg("-C").arg(&unpacked);
        assert!(command.status().unwrap().success());
        let local = unpacked.join("local");
        let mode = fs::metadata(&local).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read(local).unwrap(), program(architecture));
    }
}

#[test]
fn the_template_names_the_zips_and_takes_no_other_architecture() {
    let workshop = Workshop::new();
    let folder = workshop.release("out");
    let source = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    for architecture in ["arm64", "x86_64"] {
        let file = folder.join(format!("template-{architecture}.yaml"));
        let packaged = yaml::parse(&fs::read_to_string(file).unwrap());
        let mut wanted = yaml::parse(&source);
        let title = format!("{} ({VERSION})", wanted["Description"].as_str().unwrap());
        wanted["Description"] = title.into();
        let parameter = &mut wanted["Parameters"]["Architecture"];
        parameter["Default"] = architecture.into();
        parameter["AllowedValues"] = vec![architecture].into();
        for resource in wanted["Resources"].as_object_mut().unwrap().values_mut() {
            let code = &resource["Properties"]["CodeUri"];
            let Some(folder) = code.as_str().map(str::to_owned) else {
                continue;
            };
            let name = folder.strip_prefix("functions/").unwrap();
            resource["Properties"]["CodeUri"] = format!("./{name}-{architecture}.zip").into();
            // Nothing is built.
            resource.as_object_mut().unwrap().remove("Metadata");
        }
        assert_eq!(packaged, wanted);
    }
}

/// Where it was built is nobody's business, and differs from machine to machine.
#[test]
fn the_lists_of_dependencies_do_not_say_where_they_were_made() {
    let workshop = Workshop::new();
    let list = fs::read(workshop.release("out").join("health.cdx.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(
        list["bom-ref"],
        "path+file:///weapp-serverless/functions/health#0.1.0"
    );
}

#[test]
fn a_release_says_what_it_is_and_to_which_one_it_can_be_rolled_back() {
    let workshop = Workshop::new();
    let formats = r#"[
        {"since": "0.0.1", "readableFrom": "0.0.1", "why": "the first"},
        {"since": "0.0.9", "readableFrom": "0.0.7", "why": "older ones drop `x`"}
    ]"#;
    let file = workshop.scratch.root.join("shared/row-formats.json");
    fs::write(file, formats).unwrap();
    let manifest = manifest(&workshop.release("out"));
    assert_eq!(manifest["version"], VERSION);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(manifest["commit"], commit);
    assert_eq!(manifest["rollback"]["safeTo"], "v0.0.7");
    assert_eq!(manifest["rollback"]["because"], "older ones drop `x`");
}

#[test]
fn a_release_is_made_of_a_commit_of_its_version() {
    let workshop = Workshop::new();
    let why = workshop.refusal("v9.9.9", &[]);
    assert!(
        why.contains("VERSION is v9.9.9, but Cargo.toml says"),
        "{why}"
    );
    let why = workshop.refusal(VERSION, &[("DIRTY", " M Cargo.toml\n")]);
    assert!(why.contains("not committed"), "{why}");
}

#[test]
fn what_cannot_run_on_lambda_is_not_released() {
    let workshop = Workshop::new();
    let root = &workshop.scratch.root;
    // The build was for the other architecture.
    fs::write(root.join("built/arm64"), program("x86_64")).unwrap();
    let why = workshop.refusal(VERSION, &[]);
    assert!(why.contains("is not for arm64"), "{why}");
    // A function was not built.
    fs::write(root.join("built/arm64"), program("arm64")).unwrap();
    let build = BUILD.replace("while read -r name; do", "sed 1d | while read -r name; do");
    workshop.scratch.program("scripts/build.sh", &build);
    fs::remove_dir_all(root.join(".aws-sam")).unwrap();
    let why = workshop.refusal(VERSION, &[]);
    assert!(why.contains("was not built"), "{why}");
}

#[test]
fn a_function_beyond_the_budget_is_not_released() {
    let workshop = Workshop::new();
    let file = workshop.scratch.root.join("bench/budget.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("zip-size"));
    fs::write(file, text.replace(line.unwrap(), "zip-size = 0")).unwrap();
    let why = workshop.refusal(VERSION, &[]);
    assert!(
        why.contains("larger than bench/budget.toml allows"),
        "{why}"
    );
}

/// Machines that share the work leave the rest to the last one.
#[test]
fn a_release_is_finished_only_with_every_function() {
    let workshop = Workshop::new();
    let parts = |parts, architectures| {
        let variables = [("PARTS", parts), ("ARCHITECTURES", architectures)];
        workshop.run(&[VERSION, "out"], &variables)
    };
    assert!(parts("functions", "arm64").status.success());
    let folder = workshop.scratch.root.join("out");
    let zip = fs::read(folder.join("health-arm64.zip")).unwrap();
    fs::remove_file(folder.join("health-arm64.zip")).unwrap();
    let output = parts("finish", "");
    assert!(!output.status.success());
    assert!(errors(&output).contains("health-arm64.zip, which is missing"));
    fs::write(folder.join("health-arm64.zip"), zip).unwrap();
    assert!(parts("finish", "").status.success());
    assert_eq!(
        manifest(&folder)["architectures"],
        Value::from(vec!["arm64"])
    );
}

#[test]
fn the_notes_are_what_changed_and_where_it_can_be_rolled_back_to() {
    let workshop = Workshop::new();
    let root = &workshop.scratch.root;
    let folder = workshop.release("out");
    let notes = |version: &str| {
        let folder = folder.to_str().unwrap();
        let script = &workshop.scratch;
        script.script("release-notes.sh", &[version, folder], &[])
    };
    let changelog = "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-01-31\n\n### Added\n\n- this\n\n\
                     ## [1.2.2] - 2026-01-01\n\n- before\n";
    fs::write(root.join("CHANGELOG.md"), changelog).unwrap();
    let output = notes("v1.2.3");
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted =
        "### Added\n\n- this\n\nSafe to roll back to v0.1.0 and later (the first release).";
    assert_eq!(text.trim(), wanted);
    let output = notes("v1.2.4");
    assert!(!output.status.success());
    assert!(errors(&output).contains("no part for 1.2.4"));
}
