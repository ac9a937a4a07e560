//! The number of calls to each path.

use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct CallCounts(BTreeMap<&'static str, u64>);

impl CallCounts {
    pub(crate) fn count(&mut self, path: &'static str) {
        *self.0.entry(path).or_default() += 1;
    }

    pub(crate) fn of(&self, path: &str) -> u64 {
        self.0.get(path).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .map(|(path, count)| ((*path).to_owned(), *count))
            .collect()
    }
}
