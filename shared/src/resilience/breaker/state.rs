//! A breaker's state, and its stored text: whole numbers separated by spaces.

use std::{fmt::Write as _, iter};

use super::{
    Generation,
    window::{Calls, Failing, MAX_COUNT, MAX_FAILING, SECONDS, Window},
};
use crate::kv::{Micros, whole_number};

/// The version of the text's format. A text of another version is ignored.
const VERSION: i64 = 1;
/// How many numbers precede the window's buckets.
const HEAD: usize = 8;
/// How many numbers precede the failing instances.
const FIXED: usize = HEAD + 3 * SECONDS;
/// A longer text is not a record.
const MAX_LENGTH: usize = 1024;
/// Generations and times beyond this are invalid: sums with them would not be exact in Lua.
const MAX: i64 = 1 << 52;
/// Openings in a row are counted up to this; the open time has long reached its maximum by then.
pub(super) const MAX_STREAK: i64 = 16;

/// The state as stored; half-open is stored as open with its time over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StoredState {
    #[default]
    Closed = 0,
    Open = 1,
    ForcedOpen = 2,
    ForcedClosed = 3,
}

/// The right to make the one call of a half-open breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// 0 when the lease is free.
    pub(super) token: i64,
    pub(super) until: Micros,
}

/// What is stored. A missing key means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BreakerRecord {
    pub(super) state: StoredState,
    pub(super) generation: i64,
    /// Openings in a row.
    pub(super) streak: i64,
    /// When a closed state began; when any other state ends.
    pub(super) at: Micros,
    pub(super) lease: Lease,
    pub(super) window: Window,
}

impl BreakerRecord {
    /// Parses a stored text; the default for anything invalid.
    pub(super) fn parse(text: Option<&[u8]>) -> Self {
        text.and_then(Self::read).unwrap_or_default()
    }

    fn read(text: &[u8]) -> Option<Self> {
        let numbers = numbers(text)?;
        let (head, rest) = numbers.split_first_chunk::<HEAD>()?;
        let &[VERSION, state, generation, streak, at, token, until, newest] = head else {
            return None;
        };
        let state = match state {
            0 => StoredState::Closed,
            1 => StoredState::Open,
            2 => StoredState::ForcedOpen,
            3 => StoredState::ForcedClosed,
            _ => return None,
        };
        let fits = streak <= MAX_STREAK
            && [generation, at, until, newest]
                .iter()
                .all(|number| *number <= MAX);
        let record = Self {
            state,
            generation,
            streak,
            at,
            lease: Lease { token, until },
            window: window(newest, rest)?,
        };
        fits.then_some(record)
    }

    /// The text to be stored.
    pub(super) fn print(&self) -> String {
        let Self {
            state,
            generation,
            streak,
            at,
            lease,
            window,
        } = self;
        let head = [
            VERSION,
            *state as i64,
            *generation,
            *streak,
            *at,
            lease.token,
            lease.until,
            window.newest,
        ];
        let buckets = window
            .buckets
            .iter()
            .flat_map(|calls| [calls.total, calls.failed, calls.slow]);
        let failing = window
            .failing
            .iter()
            .flat_map(|one| [one.instance, one.second]);
        let mut text = String::with_capacity(256);
        for number in head.into_iter().chain(buckets).chain(failing) {
            let separator = if text.is_empty() { "" } else { " " };
            // Writing to a String can't fail.
            let _ = write!(text, "{separator}{number}");
        }
        text
    }
}

/// A readable form of a stored record, for health reports and the admin command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The generation.
    pub generation: Generation,
    /// Forced open (`true`) or closed (`false`) by an administrator.
    pub forced_open: Option<bool>,
    /// Openings in a row: the next open time doubles with each.
    pub streak: u32,
    /// Calls in the window when the last one was counted; 0 while it is open.
    pub calls: u64,
    /// Failed calls among them.
    pub failed: u64,
    /// Calls among them that took too long.
    pub slow: u64,
    /// Instances recorded with bad calls.
    pub failing_instances: usize,
}

impl Snapshot {
    /// Parses what is stored under [`Breaker::key`](super::Breaker::key).
    #[must_use]
    pub fn read(stored: Option<&[u8]>) -> Self {
        let record = BreakerRecord::parse(stored);
        let sum = |count: fn(&Calls) -> i64| {
            record
                .window
                .buckets
                .iter()
                .map(count)
                .sum::<i64>()
                .unsigned_abs()
        };
        Self {
            generation: Generation(record.generation),
            forced_open: match record.state {
                StoredState::Closed | StoredState::Open => None,
                StoredState::ForcedOpen => Some(true),
                StoredState::ForcedClosed => Some(false),
            },
            streak: u32::try_from(record.streak).unwrap_or_default(),
            calls: sum(|calls| calls.total),
            failed: sum(|calls| calls.failed),
            slow: sum(|calls| calls.slow),
            failing_instances: record.window.failing.len(),
        }
    }
}

fn numbers(text: &[u8]) -> Option<Vec<i64>> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let words = text
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    words.map(whole_number).collect()
}

fn window(newest: i64, numbers: &[i64]) -> Option<Window> {
    let (counts, failing) = numbers.split_at_checked(FIXED - HEAD)?;
    let (failing, []) = failing.as_chunks() else {
        return None;
    };
    if failing.len() > MAX_FAILING || counts.iter().any(|count| *count > MAX_COUNT) {
        return None;
    }
    let mut window = Window {
        newest,
        ..Window::default()
    };
    for (bucket, [total, failed, slow]) in iter::zip(&mut window.buckets, counts.as_chunks().0) {
        *bucket = Calls {
            total: *total,
            failed: *failed,
            slow: *slow,
        };
    }
    window.failing = failing
        .iter()
        .map(|&[instance, second]| Failing { instance, second })
        .collect();
    Some(window)
}
