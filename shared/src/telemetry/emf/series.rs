//! Series, and what was recorded in them since the last line.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use metrics::{CounterFn, GaugeFn, HistogramFn, Key};

use super::{MAX_VALUES, Pending, document::Values, lock};

/// The series that a recorded metric adds to.
pub(super) struct Recording(pub(super) Vec<Arc<Series>>);

/// One metric name with one set of labels.
pub(super) struct Series {
    pub(super) key: Key,
    /// Labels of a second series of the same values.
    pub(super) aggregate: Option<&'static [&'static str]>,
    pub(super) unit: Option<&'static str>,
    pub(super) recorded: Recorded,
    /// Whether a level of zero is written.
    pub(super) writes_zero: bool,
    pub(super) place: usize,
    pub(super) is_pending: AtomicBool,
    pub(super) pending: Arc<Pending>,
}

/// What was recorded since the last line.
pub(super) enum Recorded {
    Counter(AtomicU64),
    /// The value, and whether it was set since the last line.
    Gauge(Mutex<(f64, bool)>),
    Histogram(Mutex<Vec<f64>>),
}

impl Series {
    /// To be called after something was recorded.
    fn recorded(&self) {
        if !self.is_pending.swap(true, Ordering::AcqRel) {
            lock(&self.pending).push(self.place);
        }
    }

    /// Takes what was recorded since the last line, as values that fit into one.
    pub(super) fn take(&self, mut each: impl FnMut(Values)) {
        // Before the values: what is recorded from here on is noted again.
        self.is_pending.store(false, Ordering::Release);
        match &self.recorded {
            Recorded::Counter(sum) => {
                let sum = sum.swap(0, Ordering::AcqRel);
                if sum > 0 {
                    each(Values::Count(sum));
                }
            }
            Recorded::Gauge(value) => {
                let (value, set) = &mut *lock(value);
                if std::mem::take(set) && (*value != 0.0 || self.writes_zero) {
                    each(Values::Level(*value));
                }
            }
            Recorded::Histogram(values) => {
                let mut values = std::mem::take(&mut *lock(values));
                while values.len() > MAX_VALUES {
                    let rest = values.split_off(MAX_VALUES);
                    each(Values::Each(std::mem::replace(&mut values, rest)));
                }
                if !values.is_empty() {
                    each(Values::Each(values));
                }
            }
        }
    }
}

impl Recording {
    fn each(&self, record: impl Fn(&Series)) {
        self.0.iter().for_each(|series| record(series));
    }
}

impl CounterFn for Recording {
    fn increment(&self, by: u64) {
        self.each(|series| series.count(|sum| sum.fetch_add(by, Ordering::AcqRel)));
    }

    fn absolute(&self, value: u64) {
        self.each(|series| series.count(|sum| sum.fetch_max(value, Ordering::AcqRel)));
    }
}

impl GaugeFn for Recording {
    fn increment(&self, by: f64) {
        self.each(|series| series.change(|value| value + by));
    }

    fn decrement(&self, by: f64) {
        self.each(|series| series.change(|value| value - by));
    }

    fn set(&self, value: f64) {
        self.each(|series| series.change(|_| value));
    }
}

impl HistogramFn for Recording {
    fn record(&self, value: f64) {
        self.each(|series| series.sample(value));
    }
}

impl Series {
    fn count(&self, count: impl FnOnce(&AtomicU64) -> u64) {
        if let Recorded::Counter(sum) = &self.recorded {
            count(sum);
            self.recorded();
        }
    }

    fn change(&self, change: impl FnOnce(f64) -> f64) {
        if let Recorded::Gauge(value) = &self.recorded {
            let (value, set) = &mut *lock(value);
            (*value, *set) = (change(*value), true);
        }
        self.recorded();
    }

    fn sample(&self, value: f64) {
        if let Recorded::Histogram(values) = &self.recorded {
            lock(values).push(value);
            self.recorded();
        }
    }
}
