//! `shared/row-formats.json`, from which a release says to which earlier one it may be rolled back.
//!
//! Its last entry describes the rows as they are. A change of them fails here until the entry is
//! changed (for a release that is not out yet) or another one is added, with the answer to one
//! question: which is the oldest release that works with such rows?

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;
use shared::{
    accounts::{AccountDeletion, AccountMerge},
    saga::Saga,
    users::rows::{ROW_KINDS, RowKind, Shown},
};

use crate::root;

type Attributes = BTreeMap<String, BTreeSet<String>>;

fn formats() -> Vec<Value> {
    let text = fs::read_to_string(root().join("shared/row-formats.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What stands between backticks, outside parentheses.
fn quoted(cell: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let outside: String = cell
        .chars()
        .filter(|c| {
            depth += u32::from(*c == '(');
            let is_outside = depth == 0;
            depth -= u32::from(*c == ')');
            is_outside
        })
        .collect();
    let quoted = outside.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The first table of `docs/state.md`: the attributes of rows, by their keys.
fn documented() -> Attributes {
    let text = fs::read_to_string(root().join("docs/state.md")).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| item"));
    let rows = lines
        .by_ref()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        let key = |cell: usize| quoted_whole(cells[cell]);
        let attributes = quoted(&cells[3..].join(" | "));
        (
            format!("{} {}", key(1), key(2)),
            attributes.into_iter().collect(),
        )
    })
    .collect()
}

/// A cell that is one text between backticks.
fn quoted_whole(cell: &str) -> &str {
    cell.trim().trim_matches('`')
}

/// The attributes of a format, by the keys of their rows.
fn recorded(format: &Value) -> Attributes {
    serde_json::from_value(format["rows"].clone()).unwrap()
}

#[test]
fn the_newest_format_is_that_of_the_documented_rows() {
    let formats = formats();
    let (documented, newest) = (documented(), recorded(formats.last().unwrap()));
    assert!(documented.len() > 9, "{documented:?}");
    assert_eq!(
        documented, newest,
        "docs/state.md (left) has other rows than shared/row-formats.json (right): see the rule in docs/releases.md"
    );
}

/// The documented rows of a kind.
fn of_kind<'d>(documented: &'d Attributes, kind: &RowKind) -> &'d BTreeSet<String> {
    let key = format!("{}{{", kind.pk_prefix);
    let sk = |key: &str| key.split_once(' ').unwrap().1.to_owned();
    let mut found = documented
        .iter()
        .filter(|(name, _)| name.starts_with(&key) && sk(name).starts_with(kind.sk));
    let (_, attributes) = found
        .next()
        .unwrap_or_else(|| panic!("docs/state.md has no {kind:?}"));
    attributes
}

#[test]
fn the_documents_have_every_attribute_of_the_code() {
    let documented = documented();
    for kind in ROW_KINDS {
        let shown = kind.export.shown.iter().map(Shown::attribute);
        let known = of_kind(&documented, kind);
        for attribute in shown.chain(kind.export.withheld.iter().copied()) {
            assert!(
                known.contains(attribute),
                "{}{}: no {attribute}",
                kind.pk_prefix,
                kind.sk
            );
        }
    }
}

/// A row of a saga holds a position in the list of its steps.
#[test]
fn the_newest_format_has_the_steps_of_all_sagas() {
    fn steps<S: Saga>() -> (String, Vec<String>) {
        let names = S::STEPS.iter().map(|step| step.name.to_owned());
        (S::KIND.to_owned(), names.collect())
    }
    let newest = formats().pop().unwrap();
    let recorded: BTreeMap<String, Vec<String>> =
        serde_json::from_value(newest["sagas"].clone()).unwrap();
    let known = BTreeMap::from([steps::<AccountDeletion>(), steps::<AccountMerge>()]);
    assert_eq!(known, recorded);
}

/// A version such as 1.2.3.
fn version(text: &Value) -> [u32; 3] {
    let numbers = text.as_str().unwrap().split('.');
    let numbers: Vec<u32> = numbers.map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn formats_are_in_order_and_readable_from_a_release_that_there_is() {
    let formats = formats();
    let since: Vec<_> = formats.iter().map(|it| version(&it["since"])).collect();
    assert!(since.is_sorted_by(|one, next| one < next), "{since:?}");
    let this = version(&env!("CARGO_PKG_VERSION").into());
    assert!(
        since.last().unwrap() <= &this,
        "{since:?} is later than {this:?}"
    );
    let readable: Vec<_> = formats
        .iter()
        .map(|it| version(&it["readableFrom"]))
        .collect();
    // What could not read a format can't read a later one.
    assert!(readable.is_sorted(), "{readable:?}");
    for (format, (readable, since)) in formats.iter().zip(readable.iter().zip(&since)) {
        assert!(readable <= since, "{format}");
        assert!(!format["why"].as_str().unwrap().is_empty(), "{format}");
    }
}
