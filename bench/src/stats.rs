//! Samples and their quantiles.

use std::time::Duration;

/// Measured durations.
#[derive(Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds a sample.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Adds the samples of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The percentile, by nearest rank.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted[rank.saturating_sub(1)]
    }

    /// `median / p95` in milliseconds.
    pub fn in_ms(&self) -> String {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1e3;
        format!("{:.1} / {:.1} ms", ms(50), ms(95))
    }

    /// `median / p95` in microseconds.
    pub fn in_us(&self) -> String {
        let us = |percent| self.percentile(percent).as_secs_f64() * 1e6;
        format!("{:.0} / {:.0} µs", us(50), us(95))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples = Samples::default();
        (1..=30)
            .rev()
            .for_each(|ms| samples.push(Duration::from_millis(ms)));
        assert_eq!(samples.in_ms(), "15.0 / 29.0 ms");
    }
}
