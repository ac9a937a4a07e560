//! `make deploy RELEASE=…`, on a machine without Rust.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::binaries::workspace;

use super::{Scratch, VERSION, Workshop, errors, path};

/// Stands in for `sam`: writes down its arguments, one a line, and the template.
const SAM: &str = r#"#!/bin/sh
printf '%s\n' "$@" >sam.log
for argument; do
  if [ "${previous:-}" = --template-file ]; then cp "$argument" template.log; fi
  previous="$argument"
done
"#;

/// Stands in for what is not there: says so.
const MISSING: &str = "#!/bin/sh\necho \"$0 $*\" >>called.log\nexit 127\n";

/// Stands in for the GitHub CLI: has a release in `GITHUB`, whose provenance is right unless `FORGED`.
const GH: &str = r#"#!/bin/sh
echo "gh $*" >>gh.log
case "$1 $2" in
  "repo view") echo someone/weapp ;;
  "release download")
    while [ "$1" != --dir ]; do shift; done
    mkdir -p "$2"
    cp "$GITHUB"/* "$2" ;;
  "attestation verify") [ -z "${FORGED:-}" ] ;;
  *) exit 1 ;;
esac
"#;

/// A machine that has `sam` and a checkout.
struct Machine {
    scratch: Scratch,
    release: PathBuf,
    _workshop: Workshop,
}

impl Machine {
    fn new() -> Self {
        let workshop = Workshop::new();
        let release = workshop.release("my release");
        let scratch = Scratch::new();
        let install = "#!/bin/sh\necho \"$@\" >>installed.log\n";
        scratch.program("scripts/tools/install.sh", install);
        scratch.program(".tools/venv/bin/sam", SAM);
        for name in ["cargo", "rustc", "rustup", "cargo-lambda", "zig", "cc"] {
            scratch.program(&format!("bin/{name}"), MISSING);
        }
        Self {
            scratch,
            release,
            _workshop: workshop,
        }
    }

    fn deploy(&self, release: &str, variables: &[(&str, &str)]) -> Output {
        let bin = self.scratch.root.join("bin");
        Command::new("make")
            .arg("deploy")
            .arg("ARGS=--no-confirm-changeset")
            .current_dir(&self.scratch.root)
            .env_clear()
            .env("PATH", format!("{}:{}", bin.display(), path()))
            .env("RELEASE", release)
            .env("GITHUB", &self.release)
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// The arguments of `sam`, if it was called.
    fn sam(&self) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.scratch.root.join("sam.log")).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.root.join(name)).unwrap_or_default()
    }

    /// Expects that this release is refused before `sam` is called; why.
    fn refusal(&self, release: &Path, variables: &[(&str, &str)]) -> String {
        let output = self.deploy(release.to_str().unwrap(), variables);
        assert!(!output.status.success());
        assert_eq!(self.sam(), None);
        errors(&output)
    }
}

/// What follows an option.
fn value<'a>(arguments: &'a [String], option: &str) -> &'a str {
    let at = arguments.iter().position(|it| it == option);
    let at = at.unwrap_or_else(|| panic!("no {option}: {arguments:?}"));
    &arguments[at + 1]
}

#[test]
fn a_release_is_deployed_without_rust_and_without_a_build() {
    let machine = Machine::new();
    let output = machine.deploy(machine.release.to_str().unwrap(), &[]);
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    let sam = machine.sam().unwrap();
    assert_eq!(sam[0], "deploy");
    assert_eq!(sam.last().unwrap(), "--no-confirm-changeset");
    let template = machine.release.join("template-arm64.yaml");
    assert_eq!(
        Path::new(value(&sam, "--template-file")),
        template.canonicalize().unwrap()
    );
    // Otherwise sam looks for it in the release's folder.
    let settings = machine.scratch.root.join("samconfig.toml");
    assert_eq!(Path::new(value(&sam, "--config-file")), settings);
    assert_eq!(machine.log("called.log"), "");
    assert_eq!(machine.log("installed.log"), "deploy\n");
    assert!(
        text.contains(&format!("{VERSION} of commit 0123456")),
        "{text}"
    );
    assert!(
        text.contains("safe to roll back to v0.1.0 and later"),
        "{text}"
    );
}

#[test]
fn the_other_architecture_has_its_own_template() {
    let machine = Machine::new();
    let output = machine.deploy(machine.release.to_str().unwrap(), &[("ARCH", "x86_64")]);
    assert!(output.status.success(), "{}", errors(&output));
    let sam = machine.sam().unwrap();
    let template = value(&sam, "--template-file");
    assert!(template.ends_with("/template-x86_64.yaml"), "{template}");
}

/// Without what they don't know, and without what another build left.
#[test]
fn a_region_in_china_gets_the_releases_own_template() {
    let machine = Machine::new();
    let python = workspace().join(".tools/venv/bin/python");
    let python = format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display());
    machine.scratch.program(".tools/venv/bin/python", &python);
    let left = "Resources: {}\n";
    machine
        .scratch
        .program(".aws-sam/build/template.yaml", left);
    let variables = [
        ("AWS_REGION", "cn-north-1"),
        // There is no account here to ask for its quota.
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let before = fs::read_dir(&machine.release).unwrap().count();
    let output = machine.deploy(machine.release.to_str().unwrap(), &variables);
    assert!(output.status.success(), "{}", errors(&output));
    let sam = machine.sam().unwrap();
    let count = |option: &str| sam.iter().filter(|it| *it == option).count();
    assert_eq!((count("--template-file"), count("--config-file")), (1, 1));
    let folder = machine.release.canonicalize().unwrap();
    let template = folder.join("template-arm64.china.yaml");
    assert_eq!(Path::new(value(&sam, "--template-file")), template);
    let settings = machine.scratch.root.join("samconfig.toml");
    assert_eq!(Path::new(value(&sam, "--config-file")), settings);
    let text = machine.log("template.log");
    assert!(text.contains("CodeUri: ./login-arm64.zip"), "{text}");
    assert!(!text.contains("AWS::CloudFront::OriginAccessControl"));
    // A release is what its checksums list.
    let after = fs::read_dir(&machine.release).unwrap().count();
    assert_eq!(after, before);
}

/// Adds a byte to a file.
fn append(file: &Path) {
    let mut content = fs::read(file).unwrap();
    content.push(b'\n');
    fs::write(file, content).unwrap();
}

/// Removes a file from the list of checksums.
fn unlist(folder: &Path, name: &str) {
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let lines = sums.lines().filter(|line| !line.ends_with(name));
    let kept: Vec<_> = lines.collect();
    fs::write(folder.join("SHA256SUMS"), kept.join("\n")).unwrap();
}

#[test]
fn a_release_that_was_changed_is_refused() {
    const ZIP: &str = "login-arm64.zip";
    type Change = fn(&Path);
    let changes: [(Change, &str); 6] = [
        (
            |it| append(&it.join(ZIP)),
            "login-arm64.zip is not what was released",
        ),
        (
            |it| append(&it.join("template-arm64.yaml")),
            "template-arm64.yaml is not what",
        ),
        (
            |it| append(&it.join("manifest.json")),
            "manifest.json is not what was",
        ),
        (
            |it| fs::remove_file(it.join(ZIP)).unwrap(),
            "login-arm64.zip is missing",
        ),
        (
            |it| fs::remove_file(it.join("SHA256SUMS")).unwrap(),
            "has no SHA256SUMS",
        ),
        (|it| unlist(it, ZIP), "does not list login-arm64.zip"),
    ];
    let machine = Machine::new();
    for (number, (change, wanted)) in changes.into_iter().enumerate() {
        let folder = machine.scratch.root.join(format!("copy {number}"));
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(&machine.release).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        change(&folder);
        let why = machine.refusal(&folder, &[]);
        assert!(why.contains(wanted), "{why}");
    }
}

/// Of a download, only one architecture may be there.
#[test]
fn files_that_a_deployment_does_not_read_may_be_missing() {
    let machine = Machine::new();
    for entry in fs::read_dir(&machine.release).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap();
        if name.contains("x86_64") || name.contains(".cdx.") || name.contains("tar.gz") {
            fs::remove_file(path).unwrap();
        }
    }
    let output = machine.deploy(machine.release.to_str().unwrap(), &[]);
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn an_architecture_that_was_not_built_is_named() {
    let machine = Machine::new();
    let why = machine.refusal(&machine.release, &[("ARCH", "riscv64")]);
    assert!(
        why.contains("was not built for riscv64, but for arm64, x86_64"),
        "{why}"
    );
}

#[test]
fn a_version_is_downloaded_and_its_provenance_verified() {
    let machine = Machine::new();
    machine.scratch.program("bin/gh", GH);
    let output = machine.deploy(VERSION, &[]);
    assert!(output.status.success(), "{}", errors(&output));
    let folder = machine.scratch.root.join("target/releases").join(VERSION);
    let sam = machine.sam().unwrap();
    let template = folder.canonicalize().unwrap().join("template-arm64.yaml");
    assert_eq!(Path::new(value(&sam, "--template-file")), template);
    let log = machine.log("gh.log");
    let verified = log.lines().last().unwrap();
    for part in [
        "gh attestation verify ",
        "/SHA256SUMS --repo someone/weapp",
        "--signer-workflow someone/weapp/.github/workflows/release.yml",
        &format!("--source-ref refs/tags/{VERSION}"),
    ] {
        assert!(verified.contains(part), "{verified}");
    }
}

#[test]
fn a_version_whose_provenance_is_wrong_is_refused() {
    let machine = Machine::new();
    machine.scratch.program("bin/gh", GH);
    let why = machine.refusal(Path::new(VERSION), &[("FORGED", "1")]);
    assert!(
        why.contains("was not made by the release workflow of someone/weapp"),
        "{why}"
    );
    let why = machine.refusal(Path::new("no such folder"), &[]);
    assert!(why.contains("is neither a folder nor a version"), "{why}");
}
