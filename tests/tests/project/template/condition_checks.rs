//! `dynamodb:ConditionCheckItem` is granted to the functions whose transactions check rows that they
//! do not write, for the keys of those rows, and to no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use e2e::binaries::workspace;
use serde_json::Value;

use super::{assert_none, rendered};

/// A part of an `Instance`, and how the keys of the rows begin that it checks.
type Part = (&'static str, &'static [&'static str]);

/// The files of `shared` with checks, and for each part of an `Instance` by which a function comes to
/// them how the keys of the checked rows begin. Parts without functions are for operators.
const CHECKS: [(&str, &[Part]); 10] = [
    // The owner of a union link.
    ("users/logins/first.rs", &[("logins", &["UNION#*"])]),
    // Union links and numbers that may be another user's by now.
    (
        "users/rows.rs",
        &[
            ("phone_numbers", &["PHONE#*"]),
            ("phone_binding", &["PHONE#*"]),
            ("erasure", &["UNION#*", "PHONE#*"]),
            ("account_deletion", &["UNION#*", "PHONE#*"]),
            ("account_sagas", &["UNION#*", "PHONE#*"]),
            // An account that is being deleted or merged.
            ("messages", &["USER#*"]),
            ("grants", &["USER#*"]),
        ],
    ),
    // An administrator whose rights may have ended.
    ("users/administrators.rs", &[("managed_users", &["USER#*"])]),
    // Numbers under older keys.
    ("users/moving_in.rs", &[("moving_in", &["PHONE#*"])]),
    ("users/phone_numbers/release.rs", &[]),
    // The owner of a number by which two accounts are merged.
    (
        "users/phone_numbers/owners.rs",
        &[("phone_binding", &["PHONE#*"])],
    ),
    // The owner of a number, for whom a ticket is made.
    (
        "accounts/phone/tickets.rs",
        &[("phone_binding", &["USER#*"])],
    ),
    // An account that was deleted before.
    (
        "users/barring.rs",
        &[
            ("account_deletion", &["USER#*"]),
            ("account_sagas", &["USER#*"]),
        ],
    ),
    // The union link of an identity that moves.
    (
        "users/merging/identities.rs",
        &[
            ("account_deletion", &["UNION#*"]),
            ("account_sagas", &["UNION#*"]),
        ],
    ),
    // Both profiles of a merge.
    (
        "users/consents/merge.rs",
        &[
            ("account_deletion", &["USER#*"]),
            ("account_sagas", &["USER#*"]),
        ],
    ),
];

type Keys = BTreeSet<String>;

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let below = folders.iter().flat_map(|folder| rust_files(folder));
    files.chain(below).collect()
}

/// The keys that the functions check, by the parts that they take from their `Instance`.
fn of_the_code() -> BTreeMap<String, Keys> {
    let packages = rendered(&[]).functions().into_iter();
    let keys = |package: String| {
        let sources = rust_files(&workspace().join("functions").join(&package).join("src"));
        let text: String = sources
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        let parts = CHECKS.iter().flat_map(|(_, parts)| *parts);
        let taken = parts.filter(|(part, _)| text.contains(&format!("instance.{part}()")));
        let keys = taken.flat_map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()));
        (package, keys.collect())
    };
    packages.map(|function| keys(function.package)).collect()
}

/// The keys for which the template grants an action; `*` stands for all.
fn of_the_template(action: &str) -> BTreeMap<String, Keys> {
    let functions = rendered(&[]).functions().into_iter();
    let granted = |policies: &Value| {
        let statements = policies.as_array().into_iter().flatten();
        let statements = statements.filter_map(|policy| policy["Statement"].as_array());
        let checks = statements.flatten().filter(|statement| {
            let actions = &statement["Action"];
            let mut actions = actions
                .as_array()
                .map_or(vec![actions], |list| list.iter().collect());
            actions.iter_mut().any(|granted| **granted == action)
        });
        checks.flat_map(leading_keys).collect()
    };
    functions
        .map(|function| {
            (
                function.package.clone(),
                granted(&function.properties["Policies"]),
            )
        })
        .collect()
}

fn leading_keys(statement: &Value) -> Keys {
    let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    match keys.as_array() {
        Some(keys) => keys
            .iter()
            .map(|key| key.as_str().unwrap().to_owned())
            .collect(),
        None => Keys::from(["*".to_owned()]),
    }
}

#[test]
fn rows_are_checked_by_the_functions_that_may_and_no_others_may() {
    let wanted = of_the_code();
    let granted = of_the_template("dynamodb:ConditionCheckItem");
    let mut wrong = Vec::new();
    for (function, wanted) in &wanted {
        let granted = &granted[function];
        let missing = wanted.difference(granted);
        wrong.extend(missing.map(|key| format!("{function} may not check {key}")));
        let unused = granted.difference(wanted);
        wrong.extend(unused.map(|key| format!("{function} may check {key}, and does not")));
    }
    assert_none(&wrong);
}

/// A merge that stopped half-way is ended by each function that has the parts for it. Past its point of
/// no return it can't be called off, so both accounts would stay barred.
#[test]
fn the_functions_that_continue_merges_may_write_the_rows_of_merges() {
    let granted = of_the_template("dynamodb:PutItem");
    let mut wrong = Vec::new();
    for function in rendered(&[]).functions() {
        let sources = workspace().join("functions").join(&function.package);
        let continues = rust_files(&sources.join("src")).iter().any(|file| {
            let text = fs::read_to_string(file).unwrap();
            ["account_sagas", "account_deletion"]
                .iter()
                .any(|part| text.contains(&format!("instance.{part}()")))
        });
        let granted = &granted[&function.package];
        // Consents, uploads and tickets; checks of pictures; the record.
        for key in ["USER#*", "MEDIACHECK#*", "SAGA#*"] {
            if continues && !granted.contains(key) && !granted.contains("*") {
                wrong.push(format!("{} may not put {key}", function.package));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn each_file_with_a_check_is_known() {
    let shared = workspace().join("shared/src");
    let functions = workspace().join("functions");
    let mut found = BTreeSet::new();
    for file in [rust_files(&shared), rust_files(&functions)].concat() {
        if fs::read_to_string(&file).unwrap().contains("Write::Check(") {
            let name = file.strip_prefix(&shared).unwrap_or(&file);
            found.insert(name.to_string_lossy().into_owned());
        }
    }
    let known: BTreeSet<_> = CHECKS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, known);
}
