//! Pictures that wait for their verdict.

use std::collections::VecDeque;

/// The most that wait; beyond that the oldest ones get no verdict.
const MAX_WAITING: usize = 1_000;

/// A picture or audio that WeChat was asked to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaCheck {
    /// The mini-program.
    pub app_id: String,
    /// The user whose it is.
    pub open_id: String,
    /// Where it can be read.
    pub media_url: String,
    /// The id that its verdict has.
    pub trace_id: String,
}

/// The checks, oldest first.
#[derive(Default)]
pub(crate) struct MediaChecks(VecDeque<MediaCheck>);

impl MediaChecks {
    pub(crate) fn add(&mut self, check: MediaCheck) {
        if self.0.len() == MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(check);
    }

    /// All that wait, which then wait no longer.
    pub(crate) fn take(&mut self) -> Vec<MediaCheck> {
        self.0.drain(..).collect()
    }
}
