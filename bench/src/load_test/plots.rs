//! Plots along the time of a load.

use std::time::Duration;

use super::{
    arrivals::{Kind, Mix},
    record::{Run, Sample, float, milliseconds, quantile},
};
use crate::plot::{Panel, Plot};

/// Points of a plot.
const BUCKETS: u32 = 40;

/// Each plot of a run.
pub fn all(run: &Run, mix: &Mix) -> Vec<Plot> {
    let times = Times::of(mix);
    let mut panels = vec![
        times.by_kind(run, "due a second", |samples| {
            float(samples.len()) / times.width.as_secs_f64()
        }),
        times.answers(run),
        times.by_kind(run, "median, ms", |samples| latency(samples, 500)),
        times.by_kind(run, "p99, ms", |samples| latency(samples, 990)),
        times.in_flight(run),
    ];
    if run.samples.iter().any(|sample| sample.error.is_some()) {
        panels.push(times.by_kind(run, "failed a second", |samples| {
            let failed = samples.iter().filter(|sample| sample.error.is_some());
            float(failed.count()) / times.width.as_secs_f64()
        }));
    }
    panels.into_iter().map(|panel| times.plot(panel)).collect()
}

fn latency(samples: &[&Sample], per_mille: usize) -> f64 {
    let succeeded = samples.iter().filter(|sample| sample.error.is_none());
    let mut latencies: Vec<_> = succeeded.map(|sample| sample.latency).collect();
    latencies.sort_unstable();
    milliseconds(quantile(&latencies, per_mille))
}

/// The time of the load in equal parts.
struct Times {
    width: Duration,
}

impl Times {
    fn of(mix: &Mix) -> Self {
        Self {
            width: mix.duration / BUCKETS,
        }
    }

    fn plot(&self, panel: Panel) -> Plot {
        let seconds = |part| (self.width * part).as_secs_f64();
        Plot {
            along: "seconds",
            steps: (0..BUCKETS)
                .map(|part| format!("{:.0}", seconds(part)))
                .collect(),
            panels: vec![panel],
        }
    }

    /// The start of each part.
    fn starts(&self) -> impl Iterator<Item = Duration> {
        (0..BUCKETS).map(|part| self.width * part)
    }

    /// A figure of the requests that were due in each part, for each kind.
    fn by_kind(&self, run: &Run, title: &'static str, figure: impl Fn(&[&Sample]) -> f64) -> Panel {
        let series = Kind::ALL.map(|kind| {
            let values = self.starts().map(|start| {
                let part = start..start + self.width;
                let samples = run.samples.iter();
                let due = samples.filter(|sample| sample.kind == kind && part.contains(&sample.at));
                figure(&due.collect::<Vec<_>>())
            });
            (kind.name(), values.collect())
        });
        Panel {
            title,
            series: series.to_vec(),
        }
    }

    /// Successes by the time of the answer.
    fn answers(&self, run: &Run) -> Panel {
        let series = Kind::ALL.map(|kind| {
            let values = self.starts().map(|start| {
                let part = start..start + self.width;
                let samples = run.samples.iter();
                let answered = samples.filter(|sample| {
                    sample.kind == kind
                        && sample.error.is_none()
                        && part.contains(&(sample.at + sample.latency))
                });
                float(answered.count()) / self.width.as_secs_f64()
            });
            (kind.name(), values.collect())
        });
        Panel {
            title: "answered a second",
            series: series.to_vec(),
        }
    }

    /// Requests between their arrival and their answer, on average over each part: the instances
    /// that Lambda needs at least.
    fn in_flight(&self, run: &Run) -> Panel {
        let values = self.starts().map(|start| {
            let end = start + self.width;
            let overlap = |sample: &Sample| {
                let (from, to) = (sample.at.max(start), (sample.at + sample.latency).min(end));
                to.saturating_sub(from)
            };
            let busy: Duration = run.samples.iter().map(overlap).sum();
            busy.as_secs_f64() / self.width.as_secs_f64()
        });
        Panel {
            title: "requests in flight",
            series: vec![("", values.collect())],
        }
    }
}
