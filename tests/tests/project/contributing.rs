//! The code in `CONTRIBUTING.md` and in `docs/wechat.md` compiles, without a warning, when its
//! instructions are followed: a copy of the workspace is changed as the text says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use e2e::binaries::{as_from_a_shell, workspace};

/// The files of the workspace by their paths.
struct Copy(BTreeMap<PathBuf, String>);

impl Copy {
    fn of_the_workspace() -> Self {
        Self::of(workspace())
    }

    fn of(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let left_out = ["target", "node_modules", "proptest-regressions"].contains(&&*name)
                    || (name.starts_with('.') && name != ".cargo");
                if left_out || path.is_symlink() {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(text) = fs::read_to_string(&path) {
                    files.insert(path.strip_prefix(root).unwrap().to_owned(), text);
                }
            }
        }
        Self(files)
    }

    /// Adds a file.
    fn add(&mut self, path: &str, text: &str) {
        let known = self.0.insert(path.into(), format!("{text}\n"));
        assert!(known.is_none(), "{path} exists");
    }

    /// Inserts lines behind the one that starts with `anchor`.
    fn insert(&mut self, path: &str, anchor: &str, lines: &str) {
        let text = self
            .0
            .get_mut(Path::new(path))
            .unwrap_or_else(|| panic!("no file {path}"));
        let at = text
            .find(&format!("\n{anchor}"))
            .unwrap_or_else(|| panic!("{path}: no {anchor}"));
        let end = at + 1 + text[at + 1..].find('\n').unwrap() + 1;
        text.insert_str(end, &format!("{lines}\n"));
    }

    /// Writes the files to a folder and removes all others. What is equal there keeps its time, so
    /// that cargo has less to do at the next run.
    fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let found = Self::of(folder).0.into_keys();
        for path in found.filter(|path| !self.0.contains_key(path)) {
            fs::remove_file(folder.join(path)).unwrap();
        }
        for (path, text) in &self.0 {
            let path = folder.join(path);
            if fs::read_to_string(&path).ok().as_ref() != Some(text) {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        }
    }
}

/// A step of the instructions: `**n.** text`.
struct Step<'a>(&'a str);

impl<'a> Step<'a> {
    /// Its fenced block.
    fn block(&self) -> &'a str {
        let (_, rest) = self.0.split_once("```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        rest.split_once("\n```").unwrap().0
    }

    /// What stands between backticks in front of its block.
    fn codes(&self) -> Vec<&'a str> {
        let text = self.0.split("```").next().unwrap();
        text.split('`').skip(1).step_by(2).collect()
    }

    /// What stands between double backticks.
    fn row(&self) -> &'a str {
        let (_, rest) = self.0.split_once("`` ").unwrap();
        rest.split_once(" ``").unwrap().0
    }
}

/// Follows "Add a function".
fn add_a_function(copy: &mut Copy, folder: &Path) {
    let document = fs::read_to_string(workspace().join("CONTRIBUTING.md")).unwrap();
    let (_, section) = document.split_once("\n## Add a function\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let steps: Vec<_> = section.split("\n**").skip(1).map(Step).collect();
    assert_eq!(steps.len(), 11);
    for index in [0, 1, 2, 8] {
        copy.add(steps[index].codes()[0], steps[index].block());
    }
    register(copy, &steps);
    deploy(copy, &steps[5]);
    copy.insert(
        "events/README.md",
        "| `user-info/function-url.json`",
        steps[6].row(),
    );
    copy.write(folder);
    let mut sample = Command::new("sh");
    sample.args(["-ec", steps[6].block()]).current_dir(folder);
    assert!(sample.status().unwrap().success());
    assert!(folder.join("events/greet/greet.json").exists());
}

/// Adds the lines of steps 4, 5 and 8 to 10.
fn register(copy: &mut Copy, steps: &[Step]) {
    let [manifest, local, events, test] = [3, 4, 7, 8].map(|index| steps[index].codes());
    copy.insert(manifest[0], &format!("[{}]", manifest[2]), manifest[1]);
    copy.insert(manifest[0], &format!("[{}]", manifest[4]), manifest[3]);
    let lists = [&local[2..5], &local[7..10]];
    for dependency in [&local[0..2], &local[5..7]] {
        copy.insert(dependency[0], "[dependencies]", dependency[1]);
    }
    for [file, line, list] in lists.map(|codes| [codes[0], codes[1], codes[2]]) {
        copy.insert(file, &format!("pub const {list}"), &format!("    {line}"));
    }
    let list = format!("const {}", events[2]);
    copy.insert(events[0], &list, &format!("    {}", events[1]));
    copy.insert("tests/tests/http/main.rs", test[2], test[1]);
    let row = &steps[9];
    copy.insert(row.codes()[0], "| `functions/user-data/`", row.row());
}

/// Adds step 6 behind the resource that it names.
fn deploy(copy: &mut Copy, step: &Step) {
    let codes = step.codes();
    let template = copy.0.get_mut(Path::new(codes[0])).unwrap();
    let start = template.find(&format!("\n  {}:\n", codes[1])).unwrap() + 1;
    let resource = template[start..].split_inclusive('\n');
    let lines = resource
        .enumerate()
        .take_while(|(index, line)| *index == 0 || line.starts_with("   "));
    let length: usize = lines.map(|(_, line)| line.len()).sum();
    template.insert_str(start + length, &format!("{}\n", step.block()));
}

/// Follows "Handling pushed messages".
fn add_a_push_handler(copy: &mut Copy) {
    let text = fs::read_to_string(workspace().join("docs/wechat.md")).unwrap();
    let (_, section) = text.split_once("\n## Handling pushed messages\n").unwrap();
    let first = Step(section);
    let path = first
        .codes()
        .into_iter()
        .find(|code| code.contains("/handlers/"))
        .unwrap();
    copy.add(path, first.block());
    let (_, rest) = section.split_once("\n```\n").unwrap();
    let codes = Step(rest).codes();
    copy.insert(codes[0], codes[2], codes[1]);
    copy.insert(
        codes[0],
        &format!("        {}", codes[4]),
        &format!("        {}", codes[3]),
    );
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("cargo");
    as_from_a_shell(&mut command);
    let target = workspace().join("target");
    command.current_dir(folder).env("CARGO_TARGET_DIR", target);
    let output = command.args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "cargo {arguments:?}:\n{errors}\n{text}"
    );
}

#[test]
fn a_function_and_a_push_handler_from_the_documents_pass_the_checks() {
    let folder = workspace().join("target/from-the-documents");
    let mut copy = Copy::of_the_workspace();
    add_a_push_handler(&mut copy);
    add_a_function(&mut copy, &folder);
    cargo(&folder, &["fmt", "--all", "--check"]);
    let all = ["--workspace", "--lib", "--bins", "--test", "http"];
    cargo(
        &folder,
        &[
            &["clippy", "--offline"],
            all.as_slice(),
            &["--", "-D", "warnings"],
        ]
        .concat(),
    );
}
