//! The documents say what the code does: the reasons of failures and the metrics; and their links
//! lead somewhere.

use std::{collections::BTreeSet, fs, path::PathBuf};

use shared::{
    api::Reason,
    telemetry::metrics::{self, Kind},
};

use crate::root;

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_tables_of_reasons_are_that_of_the_code() {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let status: u16 = cells.next()?.parse().ok()?;
        Some((status, cells.next()?.trim_matches('`').to_owned()))
    };
    let known: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| (reason.status().as_u16(), reason.as_str().to_owned()))
        .collect();
    for page in ["docs/api.md", "docs/zh/api.md"] {
        let documented: Vec<_> = document(page).lines().filter_map(row).collect();
        assert_eq!(documented, known, "{page}");
    }
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let text = document("docs/runbook.md");
    let cells = |line: &str| {
        line.split('|')
            .skip(1)
            .map(|cell| cell.trim().replace('`', ""))
            .collect::<Vec<_>>()
    };
    let is_metric = |cells: &Vec<String>| {
        matches!(
            cells.get(1).map(String::as_str),
            Some("counter" | "gauge" | "histogram")
        )
    };
    let documented: Vec<_> = text
        .lines()
        .map(cells)
        .filter(is_metric)
        .map(|mut cells| cells.drain(..5).collect::<Vec<_>>())
        .collect();
    let known = metrics::ALL.map(
        |metrics::Metric {
             name,
             kind,
             labels,
             what,
         }| {
            let (kind, unit) = match kind {
                Kind::Counter => ("counter", "count"),
                Kind::Gauge => ("gauge", "none"),
                Kind::Histogram => ("histogram", "seconds"),
            };
            [name, kind, unit, &labels.join(", "), what]
                .map(str::to_owned)
                .to_vec()
        },
    );
    assert_eq!(documented, known);
}

/// The Markdown files of the project: those at its root, below `docs`, in `events` and in
/// `examples`.
fn pages() -> Vec<PathBuf> {
    let docs = root().join("docs");
    let example = root().join("examples/protected-function");
    let mut folders = vec![root(), root().join("events"), example];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.starts_with(&docs) && path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The anchors of a page's headings, by GitHub's rule.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.with_file_name(file),
            };
            assert!(target.exists(), "{}: no file {link}", page.display());
            let found = || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
            assert!(
                anchor.is_empty() || found(),
                "{}: no heading {link}",
                page.display()
            );
        }
    }
}

#[test]
fn the_documents_name_the_rust_version_of_the_manifest() {
    let manifest = document("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"');
    for page in ["README.md", "README.zh-CN.md", "docs/zh/quickstart.md"] {
        assert!(document(page).contains(version), "{page}");
    }
}
