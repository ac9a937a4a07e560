//! `docs/cost.md` and its Chinese counterpart: their tables are computed from the budget, the
//! template, and in `docs/cost` the measurements and the prices.

mod prices;
mod tables;
mod usage;

use std::fs;

use toml_edit::DocumentMut;

use crate::{root, settings::assert_up_to_date};
use prices::Region;
use tables::Language;
use usage::{Fixed, Usage};

/// What the tables are computed from.
struct Basis {
    regions: Vec<Region>,
    requests: Vec<Usage>,
    fixed: Fixed,
}

impl Basis {
    fn read() -> Self {
        let prices: DocumentMut = text("docs/cost/prices.toml").parse().unwrap();
        let budget: DocumentMut = text("bench/budget.toml").parse().unwrap();
        let measured: DocumentMut = text("docs/cost/measured.toml").parse().unwrap();
        let template = text("template.yaml");
        let requests = prices["requests"].as_table().unwrap().iter();
        Self {
            regions: prices::regions(&prices),
            requests: requests
                .map(|(request, _)| Usage::of(request, &prices, &budget, &measured))
                .collect(),
            fixed: Fixed::of(&prices, &template),
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_cost_pages_are_up_to_date() {
    let basis = Basis::read();
    let page = |path, language| (path, with_tables(&text(path), &basis, language));
    assert_up_to_date(&[
        page("docs/cost.md", Language::English),
        page("docs/zh/cost.md", Language::Chinese),
    ]);
}

/// The page with what stands between `<!-- NAME -->` and `<!-- /NAME -->` computed anew.
fn with_tables(page: &str, basis: &Basis, language: Language) -> String {
    let mut page = page.to_owned();
    for (name, table) in tables::all(basis, language) {
        let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let from = page.find(&open).unwrap_or_else(|| panic!("no {open}")) + open.len();
        let to = page.find(&close).unwrap_or_else(|| panic!("no {close}"));
        page.replace_range(from..to, &table);
    }
    page
}

#[test]
fn a_dearer_budget_and_another_price_change_the_tables() {
    let tables = |basis: &Basis| tables::all(basis, Language::English);
    let basis = Basis::read();
    let mut dearer = Basis::read();
    dearer.requests[0].log.own += 100_000.0;
    let mut other_price = Basis::read();
    other_price.regions[0].double("dynamodb-writes");
    for changed in [dearer, other_price] {
        assert_ne!(tables(&changed), tables(&basis));
    }
}

#[test]
fn a_started_millisecond_is_billed() {
    let usage = Usage {
        measured_ms: 111.2,
        ..Usage::default()
    };
    assert!((usage.billed_ms() - 112.0).abs() < f64::EPSILON);
}

#[test]
fn what_was_measured_holds_the_waits_that_the_budget_counts() {
    for usage in Basis::read().requests {
        let Usage {
            request,
            measured_ms,
            waits_ms,
            ..
        } = usage;
        assert!(
            measured_ms > waits_ms,
            "{request}: measured {measured_ms} ms, waits {waits_ms} ms: `make bench ARGS=billed`"
        );
    }
}
