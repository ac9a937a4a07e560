//! What a load met, in figures.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    arrivals::{Arrival, Kind, Mix},
    calls::{Invocation, Reply},
    memory::KeyKind,
};

/// One request.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What it was.
    pub kind: Kind,
    /// When it was due.
    pub at: Duration,
    /// How much later it was sent.
    pub late: Duration,
    /// From when it was due until it was answered.
    pub latency: Duration,
    /// Why it failed.
    pub error: Option<String>,
    /// Bytes of the response.
    pub bytes: usize,
    /// How a function ran for it.
    pub invocation: Option<Invocation>,
}

impl Sample {
    /// From a reply.
    pub fn of(arrival: Arrival, late: Duration, latency: Duration, reply: &Reply) -> Self {
        Self {
            kind: arrival.kind,
            at: arrival.at,
            late,
            latency,
            error: reply.result.as_ref().err().cloned(),
            bytes: reply.bytes,
            invocation: reply.invocation,
        }
    }
}

/// Everything that one target met.
#[derive(Debug)]
pub struct Run {
    /// The target.
    pub name: String,
    /// All requests.
    pub samples: Vec<Sample>,
    /// How many instances of each function were started.
    pub instances: BTreeMap<&'static str, usize>,
    /// What Redis held afterwards.
    pub memory: Vec<KeyKind>,
}

/// The figures of one kind of request. Percentiles are those of requests that succeeded.
#[derive(Debug, PartialEq)]
pub struct Figures {
    /// How many were due, and all were sent.
    pub sent: usize,
    /// How many failed.
    pub failed: usize,
    /// Successes a second.
    pub rate: f64,
    /// Latencies in ms: median, p90, p99, p99.9, the longest.
    pub latency: [f64; 5],
    /// Bytes of a response on average.
    pub bytes: f64,
}

/// What functions did for one kind of request. In ms.
#[derive(Debug)]
pub struct Runs {
    /// Requests for which an instance was started.
    pub cold: usize,
    /// Their latencies: median, the longest.
    pub cold_latency: [f64; 2],
    /// The latency of 99 in 100 others.
    pub warm_p99: f64,
    /// Inside of warm functions: median, p99.
    pub warm_duration: [f64; 2],
}

impl Runs {
    fn json(&self) -> Value {
        let ([cold_median, cold_longest], [median, p99]) = (self.cold_latency, self.warm_duration);
        json!({
            "coldStarts": self.cold, "coldMedianMs": cold_median, "coldLongestMs": cold_longest,
            "warmP99Ms": self.warm_p99, "durationMedianMs": median, "durationP99Ms": p99,
        })
    }
}

/// The percentiles of [`Figures::latency`], in thousandths.
const PER_MILLE: [usize; 5] = [500, 900, 990, 999, 1000];

impl Run {
    /// The figures of a kind of request.
    pub fn figures(&self, kind: Kind, mix: &Mix) -> Figures {
        let of_kind = || {
            self.samples
                .iter()
                .filter(move |sample| sample.kind == kind)
        };
        let succeeded = || of_kind().filter(|sample| sample.error.is_none());
        let sorted = sorted(succeeded().map(|sample| sample.latency));
        let bytes: usize = succeeded().map(|sample| sample.bytes).sum();
        let count = sorted.len();
        Figures {
            sent: of_kind().count(),
            failed: of_kind().count() - count,
            rate: float(count) / mix.duration.as_secs_f64(),
            latency: PER_MILLE.map(|per_mille| milliseconds(quantile(&sorted, per_mille))),
            bytes: float(bytes) / float(count.max(1)),
        }
    }

    /// What the functions did for a kind of request; `None` where there are none.
    pub fn runs(&self, kind: Kind) -> Option<Runs> {
        let (mut cold, mut warm, mut durations) = (Vec::new(), Vec::new(), Vec::new());
        for sample in self.samples.iter().filter(|sample| sample.kind == kind) {
            match sample.invocation {
                Some(invocation) if invocation.is_cold => cold.push(sample.latency),
                Some(invocation) => {
                    warm.push(sample.latency);
                    durations.push(invocation.duration);
                }
                None => {}
            }
        }
        if cold.is_empty() && warm.is_empty() {
            return None;
        }
        let count = cold.len();
        let (cold, warm, durations) = (sorted(cold), sorted(warm), sorted(durations));
        Some(Runs {
            cold: count,
            cold_latency: [500, 1000].map(|per_mille| milliseconds(quantile(&cold, per_mille))),
            warm_p99: milliseconds(quantile(&warm, 990)),
            warm_duration: [500, 990]
                .map(|per_mille| milliseconds(quantile(&durations, per_mille))),
        })
    }

    /// How often each kind failed for each reason.
    pub fn errors(&self) -> BTreeMap<(&'static str, &str), usize> {
        let mut errors = BTreeMap::new();
        for sample in &self.samples {
            if let Some(reason) = &sample.error {
                *errors
                    .entry((sample.kind.name(), reason.as_str()))
                    .or_default() += 1;
            }
        }
        errors
    }

    /// By how many ms the generator itself was late, of 99 in 100 requests.
    pub fn lateness(&self) -> f64 {
        let sorted = sorted(self.samples.iter().map(|sample| sample.late));
        milliseconds(quantile(&sorted, 990))
    }

    /// Prints the figures as a Markdown table.
    pub fn print(&self, mix: &Mix) {
        println!(
            "| {} | sent | failed | a second | median | p90 | p99 | p99.9 | longest |",
            self.name
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        for kind in Kind::ALL {
            let Figures {
                sent,
                failed,
                rate,
                latency,
                ..
            } = self.figures(kind, mix);
            let latency = latency.map(|ms| format!("{ms:.1} ms")).join(" | ");
            println!(
                "| {} | {sent} | {failed} | {rate:.1} | {latency} |",
                kind.name()
            );
        }
        println!();
        for ((kind, reason), count) in self.errors() {
            println!("{count} × {kind}: {reason}");
        }
    }

    fn json(&self, mix: &Mix) -> Value {
        let kinds: serde_json::Map<_, _> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let Figures { sent, failed, rate, latency, bytes } = self.figures(kind, mix);
                let mut figures = json!({
                    "sent": sent, "failed": failed, "perSecond": rate, "responseBytes": bytes,
                    "medianMs": latency[0], "p90Ms": latency[1], "p99Ms": latency[2], "p999Ms": latency[3],
                    "longestMs": latency[4],
                });
                if let Some(runs) = self.runs(kind) {
                    figures["functions"] = runs.json();
                }
                (kind.name().to_owned(), figures)
            })
            .collect();
        let errors: Vec<_> = self
            .errors()
            .into_iter()
            .map(|((kind, reason), count)| json!({"kind": kind, "reason": reason, "count": count}))
            .collect();
        json!({
            "target": self.name, "kinds": kinds, "errors": errors, "generatorLateP99Ms": self.lateness(),
            "instances": self.instances, "redis": self.memory.iter().map(KeyKind::json).collect::<Vec<_>>(),
        })
    }
}

/// All figures.
pub fn json(heading: &str, mix: &Mix, runs: &[Run]) -> Value {
    let runs: Vec<_> = runs.iter().map(|run| run.json(mix)).collect();
    json!({"heading": heading, "mix": mix.describe(), "runs": runs})
}

fn sorted(durations: impl IntoIterator<Item = Duration>) -> Vec<Duration> {
    let mut durations: Vec<_> = durations.into_iter().collect();
    durations.sort_unstable();
    durations
}

/// By nearest rank; zero where there is nothing.
pub fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// In milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, latency_ms: u64, error: Option<&str>) -> Sample {
        Sample {
            kind: Kind::Read,
            at: Duration::from_millis(at_ms),
            late: Duration::ZERO,
            latency: Duration::from_millis(latency_ms),
            error: error.map(str::to_owned),
            bytes: 100,
            invocation: None,
        }
    }

    #[test]
    fn percentiles_are_those_of_successes_and_errors_are_counted_by_reason() {
        let mut samples: Vec<_> = (1..=1000).map(|ms| sample(ms, ms, None)).collect();
        samples.extend([
            sample(0, 9_000, Some("unavailable")),
            sample(0, 1, Some("unavailable")),
        ]);
        let run = Run {
            name: String::new(),
            samples,
            instances: BTreeMap::new(),
            memory: Vec::new(),
        };
        let figures = run.figures(Kind::Read, &Mix::SHORT);
        assert_eq!((figures.sent, figures.failed), (1002, 2));
        let wanted = [500.0, 900.0, 990.0, 999.0, 1000.0];
        assert!(
            figures
                .latency
                .iter()
                .zip(wanted)
                .all(|(found, wanted)| (found - wanted).abs() < 1e-6)
        );
        assert_eq!(run.errors(), BTreeMap::from([(("read", "unavailable"), 2)]));
        assert_eq!(run.figures(Kind::Login, &Mix::SHORT).sent, 0);
    }
}
