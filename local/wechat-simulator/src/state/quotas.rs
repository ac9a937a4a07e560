//! How often an app may call the APIs of messages, codes and links.

use std::collections::HashMap;

use serde::Deserialize;

use crate::state::rate_window::RateWindow;
use crate::time::{DAY, MINUTE};

/// The limit of an API for each app. WeChat's own number applies until another one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quota {
    /// Subscribe messages a day: 10,000,000.
    SubscribeMessages,
    /// Replies of customer service a day: 500,000.
    CustomMessages,
    /// Mini-program codes a minute: 5,000.
    Codes,
    /// URL links a day: 500,000.
    Links,
}

impl Quota {
    const fn window(self, max: Option<u32>) -> RateWindow {
        let (default, length) = match self {
            Self::SubscribeMessages => (10_000_000, DAY),
            Self::CustomMessages | Self::Links => (500_000, DAY),
            Self::Codes => (5_000, MINUTE),
        };
        match max {
            Some(max) => RateWindow::new(max, length),
            None => RateWindow::new(default, length),
        }
    }
}

/// Entries exist for registered apps only, so their number is bounded.
#[derive(Default)]
pub(crate) struct Quotas(HashMap<(String, Quota), RateWindow>);

impl Quotas {
    /// Counts a call; `false` when the quota is used up.
    pub(crate) fn admit(&mut self, app_id: &str, quota: Quota, now: u64) -> bool {
        let window = self.0.entry((app_id.to_owned(), quota));
        window.or_insert_with(|| quota.window(None)).admit(now)
    }

    /// Sets a quota, of which nothing is used yet.
    pub(crate) fn set(&mut self, app_id: &str, quota: Quota, max: u32) {
        let window = quota.window(Some(max));
        self.0.insert((app_id.to_owned(), quota), window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_app_and_api_has_a_quota_of_its_own() {
        let mut quotas = Quotas::default();
        quotas.set("wxone", Quota::Links, 1);
        assert!(quotas.admit("wxone", Quota::Links, 0));
        assert!(!quotas.admit("wxone", Quota::Links, DAY - 1));
        assert!(quotas.admit("wxone", Quota::Codes, 1));
        assert!(quotas.admit("wxtwo", Quota::Links, 1));
        assert!(quotas.admit("wxone", Quota::Links, DAY));
        quotas.set("wxone", Quota::Links, 0);
        assert!(!quotas.admit("wxone", Quota::Links, DAY));
    }
}
