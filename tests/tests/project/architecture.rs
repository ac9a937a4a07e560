//! Modules import only downwards, and never in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    modules::{Crate, Import, ModulePath, is_nested},
    root,
};

/// The crates whose imports must not form a circle.
fn crates() -> Vec<String> {
    let functions = fs::read_dir(root().join("functions")).unwrap();
    let functions = functions.map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        format!("functions/{name}/src")
    });
    let others = [
        "shared/src",
        "gateway/src",
        "server/src",
        "local/src",
        "local/wechat-simulator/src",
        "bench/src",
        "tests/src",
    ];
    functions.chain(others.map(str::to_owned)).collect()
}

/// The modules of `shared` in the order of `docs/architecture.md`, the lowest first.
fn layers() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let list = text
        .split("```text layers\n")
        .nth(1)
        .unwrap_or_else(|| panic!("no block `text layers`"));
    let list = list.split("```").next().unwrap();
    let modules = list.split([',', '\n']).map(str::trim);
    modules
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_documented_layers_are_the_modules_of_shared() {
    let documented: BTreeSet<String> = layers().into_iter().collect();
    assert_eq!(documented, Crate::read(&root(), "shared/src").top_level());
}

#[test]
fn every_module_of_shared_imports_only_from_lower_layers() {
    let (shared, layers) = (Crate::read(&root(), "shared/src"), layers());
    let level = |name: &String| layers.iter().position(|layer| layer == name);
    let climbs = |import: &Import| {
        let (from, to) = (import.from.first()?, import.to.first()?);
        (from != to && level(to) > level(from)).then(|| {
            let file = shared.file(&import.from);
            format!("{file} imports from `{to}`, which is above `{from}`")
        })
    };
    let climbing: Vec<_> = shared.imports().iter().filter_map(climbs).collect();
    assert!(
        climbing.is_empty(),
        "see docs/architecture.md:\n{}",
        climbing.join("\n")
    );
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for src in crates() {
        let read = Crate::read(&root(), &src);
        for circle in circles_of(&read.imports()) {
            let files: Vec<_> = circle.iter().map(|module| read.file(module)).collect();
            circles.push(files.join(" → "));
        }
    }
    assert!(
        circles.is_empty(),
        "import circles:\n{}",
        circles.join("\n")
    );
}

/// Every set of modules that reach each other, as one circle through it.
fn circles_of(imports: &BTreeSet<Import>) -> Vec<Vec<ModulePath>> {
    let mut targets: BTreeMap<&ModulePath, Vec<&ModulePath>> = BTreeMap::new();
    for Import { from, to } in imports.iter().filter(|one| !is_nested(&one.from, &one.to)) {
        targets.entry(from).or_default().push(to);
    }
    let mut circles = Vec::new();
    let mut done: BTreeSet<&ModulePath> = BTreeSet::new();
    for start in targets.keys().copied() {
        if let Some(circle) = circle_through(start, &targets).filter(|_| !done.contains(start)) {
            done.extend(circle.iter().copied());
            circles.push(circle.into_iter().cloned().collect());
        }
    }
    circles
}

/// The shortest way from `start` back to itself.
fn circle_through<'a>(
    start: &'a ModulePath,
    targets: &BTreeMap<&'a ModulePath, Vec<&'a ModulePath>>,
) -> Option<Vec<&'a ModulePath>> {
    let mut ways = std::collections::VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in targets.get(way.last()?).into_iter().flatten() {
            if *next == start {
                return Some([way, vec![start]].concat());
            }
            if seen.insert(*next) {
                ways.push_back([way.clone(), vec![*next]].concat());
            }
        }
    }
    None
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let import = |from: &str, to: &str| Import {
        from: module(from),
        to: module(to),
    };
    let line = BTreeSet::from([import("a", "b"), import("b", "c"), import("a", "c")]);
    assert!(circles_of(&line).is_empty());
    let circle = BTreeSet::from([import("a", "b"), import("b", "c"), import("c", "b")]);
    assert_eq!(
        circles_of(&circle),
        [[module("b"), module("c"), module("b")]]
    );
}
