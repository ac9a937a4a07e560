//! The messages that users agreed to: each agreement allows one message of a template.

use std::collections::BTreeMap;

use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};

/// By openid, the number of grants of each template.
pub(crate) struct Subscriptions(BoundedMap<String, BTreeMap<String, u32>>);

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    pub(crate) fn grant(&mut self, open_id: &str, template_id: &str) {
        if self.0.get_mut(open_id).is_none() {
            self.0.insert(open_id.to_owned(), BTreeMap::new());
        }
        if let Some(grants) = self.0.get_mut(open_id) {
            *grants.entry(template_id.to_owned()).or_default() += 1;
        }
    }

    /// Uses up a grant; `false` when there is none.
    pub(crate) fn take(&mut self, open_id: &str, template_id: &str) -> bool {
        let grants = self.0.get_mut(open_id);
        let left = grants.and_then(|grants| grants.get_mut(template_id));
        let Some(left) = left.filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    pub(crate) fn left(&self, open_id: &str, template_id: &str) -> u32 {
        let grants = self.0.peek(open_id);
        let left = grants.and_then(|grants| grants.get(template_id));
        left.copied().unwrap_or_default()
    }

    /// The user takes all grants back.
    pub(crate) fn withdraw(&mut self, open_id: &str) {
        if let Some(grants) = self.0.get_mut(open_id) {
            grants.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_allows_one_message() {
        let mut grants = Subscriptions::new();
        grants.grant("o1", "t1");
        grants.grant("o1", "t1");
        assert_eq!(grants.left("o1", "t1"), 2);
        assert!(grants.take("o1", "t1") && grants.take("o1", "t1"));
        assert!(!grants.take("o1", "t1"));
        assert!(!grants.take("o2", "t1"));
        grants.grant("o1", "t1");
        grants.withdraw("o1");
        assert!(!grants.take("o1", "t1"));
    }
}
