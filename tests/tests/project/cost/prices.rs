//! Unit prices by region.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, InlineTable};

use super::usage::number;

/// What one unit costs, and where that is said.
#[derive(Clone)]
pub struct Price {
    pub amount: f64,
    /// For this many units.
    pub per: f64,
    pub source: String,
    /// The date of the page.
    pub of: String,
    /// Why the real price can be lower.
    pub at_most: Option<String>,
}

/// The prices of a region. What was found nowhere is absent.
pub struct Region {
    pub name: String,
    pub currency: String,
    pub prices: BTreeMap<String, Price>,
}

impl Region {
    /// What this many units cost, if their price is known.
    pub fn cost(&self, unit: &str, amount: f64) -> Option<f64> {
        let price = self.prices.get(unit)?;
        Some(amount / price.per * price.amount)
    }

    /// As if a unit cost twice as much.
    pub fn double(&mut self, unit: &str) {
        self.prices.get_mut(unit).unwrap().amount *= 2.0;
    }
}

/// The regions in the order of the file.
pub fn regions(document: &DocumentMut) -> Vec<Region> {
    let regions = document["regions"].as_table().unwrap().iter();
    let region = |(name, region): (&str, &toml_edit::Item)| Region {
        name: name.to_owned(),
        currency: region["currency"].as_str().unwrap().to_owned(),
        prices: region["prices"]
            .as_table()
            .unwrap()
            .iter()
            .map(|(unit, price)| {
                (
                    unit.to_owned(),
                    Price::read(price.as_inline_table().unwrap()),
                )
            })
            .collect(),
    };
    regions.map(region).collect()
}

impl Price {
    fn read(table: &InlineTable) -> Self {
        let text = |key: &str| {
            table
                .get(key)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        Self {
            amount: number(table.get("price").unwrap()),
            per: number(table.get("per").unwrap()),
            source: text("source").unwrap(),
            of: text("of").unwrap(),
            at_most: text("at-most"),
        }
    }
}
