//! The documents say what the code does: settings, their defaults and the reasons of failures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use shared::{
    api::Reason,
    telemetry::metrics::{self, Kind},
};

const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];
/// Where settings are read.
const READERS: [&str; 3] = ["shared/src", "functions", "local/src"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust files below `folder`, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            found.push(path);
        }
    }
    found
}

/// All code that reads settings, without white space, so that a call has one spelling.
fn code() -> String {
    let files = READERS
        .iter()
        .flat_map(|folder| sources(&root().join(folder)));
    let texts = files.map(|path| fs::read_to_string(path).unwrap());
    let product = texts.map(|text| {
        text.split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    product
        .flat_map(|text| {
            text.chars()
                .filter(|c| !c.is_whitespace())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The names of variables that follow `opening` in `code`, each with what comes after it.
fn names<'a>(code: &'a str, opening: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let named = |rest: &'a str| rest.split_once('"');
    let is_variable = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
    };
    code.split(opening)
        .skip(1)
        .filter_map(named)
        .filter(move |(name, _)| is_variable(name))
}

/// Every variable that is read somewhere.
fn variables() -> BTreeSet<String> {
    const OPENINGS: [&str; 8] = [
        r#"env.get(""#,
        r#"env().get(""#,
        r#"env.required(""#,
        r#"env.parse(""#,
        r#"env.number(""#,
        r#"env.list(""#,
        r#"env().list(""#,
        r#"constNAME:&str=""#,
    ];
    let code = code();
    let found = OPENINGS.iter().flat_map(|opening| names(&code, opening));
    let found: BTreeSet<String> = found.map(|(name, _)| name.to_owned()).collect();
    for known in [
        "LOG_LEVEL",
        "WECHAT_SECRETS",
        "DATA_KEYS",
        "SESSION_CACHE_SECONDS",
        "DYNAMODB_PORT",
    ] {
        assert!(
            found.contains(known),
            "the search does not find {known} any more: adapt it to how settings are read"
        );
    }
    found
}

/// The rows of the configuration table, by variable. The other tables name no variable first.
fn rows(readme: &str) -> BTreeMap<String, String> {
    let text = document(readme);
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let is_variable = name
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
        is_variable.then(|| (name.to_owned(), rest.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn every_setting_stands_in_both_readmes_and_in_the_sample_of_env() {
    let (variables, sample) = (variables(), document(".env.example"));
    for readme in READMES {
        let documented: BTreeSet<String> = rows(readme).into_keys().collect();
        assert_eq!(
            documented, variables,
            "{readme}: its table and the variables that are read"
        );
    }
    let words: BTreeSet<&str> = sample
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect();
    let missing: Vec<_> = variables
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), ".env.example does not name {missing:?}");
}

#[test]
fn the_defaults_of_numbers_are_those_of_the_code() {
    let code = code();
    let numbers: BTreeMap<&str, String> = [r#"env.number(""#, r#"env.parse(""#]
        .iter()
        .flat_map(|opening| names(&code, opening))
        .filter_map(|(name, rest)| {
            let default = rest.strip_prefix(',')?.split(',').next()?.replace('_', "");
            default.parse::<u32>().is_ok().then_some((name, default))
        })
        // 0 stands for "any free one" there, in words.
        .filter(|(name, _)| !["DYNAMODB_PORT", "METRICS_PORT"].contains(name))
        .collect();
    assert!(numbers.len() >= 9, "the search finds only {numbers:?}");
    let (sample, tables) = (
        document(".env.example"),
        READMES.map(|readme| (readme, rows(readme))),
    );
    for (name, default) in numbers {
        assert!(
            sample.contains(&format!("# {name}={default}\n")),
            ".env.example: {name} is {default} by default"
        );
        for (readme, rows) in &tables {
            let row = rows.get(name).map(String::as_str).unwrap_or_default();
            assert!(
                row.contains(&format!("`{default}`")),
                "{readme}: {name} is {default} by default, not {row:?}"
            );
        }
    }
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

/// The Markdown files of the project: those at its root, below `docs` and in `events`.
fn pages() -> Vec<PathBuf> {
    let docs = root().join("docs");
    let mut folders = vec![root(), root().join("events")];
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
