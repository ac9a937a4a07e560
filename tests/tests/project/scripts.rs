//! The scripts behind `make`, run on a scratch copy with recorded programs in place of real ones.

mod build;
mod configure;
mod deploy;
mod install;
mod network;
mod release;
mod toolchain;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use e2e::binaries::workspace;
use tempfile::TempDir;

/// A folder, with blanks in its name, that the scripts take for the project.
struct Scratch {
    _parent: TempDir,
    root: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("my project");
        for file in [
            "Cargo.toml",
            ".env.example",
            "template.yaml",
            "network.yaml",
            "samconfig.toml",
            "Makefile",
        ] {
            copy(&workspace().join(file), &root.join(file));
        }
        for folder in ["scripts", "scripts/tools"] {
            for entry in fs::read_dir(workspace().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    copy(&path, &root.join(folder).join(path.file_name().unwrap()));
                }
            }
        }
        Self {
            _parent: parent,
            root,
        }
    }

    /// Writes a program.
    fn program(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// One of the scripts, with nothing in its environment but these variables.
    fn script(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.root.join("scripts").join(script));
        command.env_clear().env("PATH", path()).args(arguments);
        command.envs(variables.iter().copied()).output().unwrap()
    }
}

/// What `scripts/parameters.sh` says of a parameter.
pub struct Passed {
    pub kind: String,
    pub variable: String,
    pub default: String,
}

/// The parameters that the scripts pass, by name.
pub fn passed() -> BTreeMap<String, Passed> {
    let script = fs::read_to_string(workspace().join("scripts/parameters.sh")).unwrap();
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let kind = words.next()?;
        if !["text", "number", "list"].contains(&&*kind) {
            return None;
        }
        let (parameter, variable) = (words.next()?, words.next()?);
        let default = words.next().unwrap_or_default().replace('"', "");
        let passed = Passed {
            kind,
            variable,
            default,
        };
        Some((parameter, passed))
    };
    script.lines().filter_map(line).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// The machine's own programs.
fn path() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the scripts need the machine's programs"
    )]
    std::env::var("PATH").unwrap()
}

/// Standard error.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
