//! A limit on the number of calls in a window of time.

/// A fixed window that starts with its first call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateWindow {
    /// Milliseconds.
    length: u64,
    max: u32,
    started: u64,
    used: u32,
}

impl RateWindow {
    pub(crate) const fn new(max: u32, length: u64) -> Self {
        Self {
            length,
            max,
            started: 0,
            used: 0,
        }
    }

    /// Counts a call; `false` when the window is full.
    pub(crate) fn admit(&mut self, now: u64) -> bool {
        if self.used == 0 || now.saturating_sub(self.started) >= self.length {
            self.started = now;
            self.used = 0;
        }
        if self.used >= self.max {
            return false;
        }
        self.used += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MINUTE;

    #[test]
    fn a_full_window_rejects_calls_until_it_ends() {
        let mut window = RateWindow::new(2, MINUTE);
        assert!(window.admit(10) && window.admit(20));
        assert!(!window.admit(MINUTE + 9));
        assert!(window.admit(MINUTE + 10));
    }
}
