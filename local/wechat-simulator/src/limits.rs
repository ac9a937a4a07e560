//! So many calls in so long.

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// A fixed window that starts with its first call. Times are milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    length: u64,
    most: u32,
    started: u64,
    used: u32,
}

impl Window {
    pub(crate) const fn new(most: u32, length: u64) -> Self {
        Self {
            length,
            most,
            started: 0,
            used: 0,
        }
    }

    /// Counts a call; false when the window is full.
    pub(crate) fn admit(&mut self, now: u64) -> bool {
        if self.used == 0 || now.saturating_sub(self.started) >= self.length {
            self.started = now;
            self.used = 0;
        }
        if self.used >= self.most {
            return false;
        }
        self.used += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_refuses_until_it_has_passed() {
        let mut window = Window::new(2, MINUTE);
        assert!(window.admit(10) && window.admit(20));
        assert!(!window.admit(MINUTE + 9));
        assert!(window.admit(MINUTE + 10));
    }
}
