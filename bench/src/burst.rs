//! Peak shaving: WeChat pushes many events at once, and a receiver of webhooks takes them at its own
//! rate. What is taken in, what waits and what is delivered, along the time.

mod pushes;
mod receiver;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::{
    plot::{Panel, Plot},
    server::Server,
    services::Services,
};
use pushes::Pushes;
use receiver::{Outcome, Receiver};

/// Pushes in flight.
const AT_ONCE: usize = 32;
/// Between two looks at the receiver.
const LOOK: Duration = Duration::from_millis(100);
/// By then everything has to be delivered.
const PATIENCE: Duration = Duration::from_mins(10);

/// How much arrives, and how much is taken.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// Events that WeChat pushes.
    pub events: usize,
    /// Requests a second that the receiver takes; it refuses others with 429.
    pub per_second: u32,
}

impl Burst {
    /// Ten thousand events.
    pub const FULL: Self = Self {
        events: 10_000,
        per_second: 250,
    };
    /// To see whether it works, with debug builds.
    pub const SHORT: Self = Self {
        events: 60,
        per_second: 20,
    };
}

/// What happened, each with its time since the first push.
#[derive(Debug)]
pub struct Course {
    burst: Burst,
    /// Pushes that were answered with success.
    taken: Vec<Duration>,
    /// What the receiver was asked and said.
    calls: Vec<(Duration, Outcome)>,
}

/// Sends the burst to `local`, with a receiver of its own.
///
/// # Panics
/// When a push is refused, or an event is not delivered within ten minutes.
pub async fn run(burst: Burst) -> Course {
    let services = Services::start().await;
    let receiver = Receiver::start(burst.per_second);
    let server = Server::with_webhooks(&services, &receiver.webhooks()).await;
    let pushes = Pushes::new(&format!("http://{}", server.address));
    let start = Instant::now();
    receiver.count_from(start);
    let taken = stream::iter(0..burst.events)
        .map(|number| pushes.send(number))
        .buffer_unordered(AT_ONCE)
        .map(|()| start.elapsed())
        .collect()
        .await;
    while receiver.delivered() < burst.events {
        assert!(start.elapsed() < PATIENCE, "events were not delivered");
        tokio::time::sleep(LOOK).await;
    }
    Course {
        burst,
        taken,
        calls: receiver.calls(),
    }
}

impl Course {
    fn times(&self, outcome: Outcome) -> impl Iterator<Item = Duration> {
        let of_this = move |(at, known): &(Duration, Outcome)| (*known == outcome).then_some(*at);
        self.calls.iter().filter_map(of_this)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.times(outcome).count()
    }

    /// Until the last event was taken, and delivered.
    fn ends(&self) -> [Duration; 2] {
        let last = |times: &mut dyn Iterator<Item = Duration>| times.max().unwrap_or_default();
        [
            last(&mut self.taken.iter().copied()),
            last(&mut self.times(Outcome::Delivered)),
        ]
    }

    /// Calls in the second in which the receiver took most.
    fn busiest_second(&self) -> usize {
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        let accepted = self
            .times(Outcome::Delivered)
            .chain(self.times(Outcome::Repeated));
        for at in accepted {
            *seconds.entry(at.as_secs()).or_default() += 1;
        }
        seconds.into_values().max().unwrap_or_default()
    }

    /// The figures, each with what it is in English and in Chinese.
    #[must_use]
    pub fn rows(&self) -> Vec<([&'static str; 2], String)> {
        let [taken, delivered] = self.ends().map(|end| format!("{:.1} s", end.as_secs_f64()));
        vec![
            (
                ["events pushed by WeChat", "微信推送的事件"],
                self.burst.events.to_string(),
            ),
            (["all taken after", "全部接收用时"], taken),
            (
                [
                    "requests that the receiver takes in a second",
                    "接收方每秒接受的请求",
                ],
                self.burst.per_second.to_string(),
            ),
            (
                [
                    "most that it took in a second",
                    "接收方一秒内实际接受的最多请求",
                ],
                self.busiest_second().to_string(),
            ),
            (["all delivered after", "全部投递用时"], delivered),
            (
                [
                    "requests that it refused (429) and that came again",
                    "接收方拒绝（429）、之后重试的请求",
                ],
                self.count(Outcome::Refused).to_string(),
            ),
            (
                [
                    "events that it got twice, under the same id",
                    "以同一 id 到达两次的事件",
                ],
                self.count(Outcome::Repeated).to_string(),
            ),
        ]
    }

    /// Prints the figures as a Markdown table.
    pub fn print(&self) {
        println!("| burst | |\n|---|--:|");
        for (what, figure) in self.rows() {
            println!("| {} | {figure} |", what[0]);
        }
        println!();
    }

    /// For the report.
    #[must_use]
    pub fn json(&self) -> Value {
        let [taken, delivered] = self.ends().map(|end| end.as_secs_f64());
        json!({
            "events": self.burst.events, "perSecond": self.burst.per_second, "takenAfterSeconds": taken,
            "deliveredAfterSeconds": delivered, "busiestSecond": self.busiest_second(),
            "delivered": self.count(Outcome::Delivered), "refused": self.count(Outcome::Refused),
            "repeated": self.count(Outcome::Repeated),
        })
    }

    /// Its course.
    #[must_use]
    pub fn plot(&self) -> Plot {
        let end = self.ends().into_iter().max().unwrap_or_default();
        let seconds = usize::try_from(end.as_secs()).unwrap_or_default() + 2;
        let until = |times: &[Duration]| -> Vec<f64> {
            let before = |second: usize| {
                let end = Duration::from_secs(second as u64);
                times.iter().filter(|at| **at <= end).count()
            };
            (0..seconds).map(|second| float(before(second))).collect()
        };
        let delivered: Vec<_> = self.times(Outcome::Delivered).collect();
        let (taken, delivered) = (until(&self.taken), until(&delivered));
        let waiting = taken.iter().zip(&delivered);
        let waiting = waiting
            .map(|(taken, delivered)| taken - delivered)
            .collect();
        let each = |outcome| -> Vec<f64> {
            let mut counts = vec![0.0; seconds];
            for at in self.times(outcome) {
                let second = usize::try_from(at.as_secs()).unwrap_or_default() + 1;
                counts[second.min(seconds - 1)] += 1.0;
            }
            counts
        };
        Plot {
            along: "seconds",
            steps: (0..seconds).map(|second| second.to_string()).collect(),
            panels: vec![
                Panel {
                    title: "events",
                    series: vec![
                        ("taken", taken),
                        ("delivered", delivered),
                        ("waiting", waiting),
                    ],
                },
                Panel {
                    title: "requests to the receiver in a second",
                    series: vec![
                        ("accepted", each(Outcome::Delivered)),
                        ("refused", each(Outcome::Refused)),
                    ],
                },
            ],
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_what_was_taken_and_not_delivered() {
        let second = Duration::from_secs;
        let course = Course {
            burst: Burst::SHORT,
            taken: vec![second(0), second(1), second(1)],
            calls: vec![
                (second(1), Outcome::Delivered),
                (second(1), Outcome::Refused),
                (second(2), Outcome::Delivered),
                (second(2), Outcome::Repeated),
                (second(4), Outcome::Delivered),
            ],
        };
        let plot = course.plot();
        assert_eq!(plot.panels[0].series[2].1, [1.0, 2.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(plot.panels[1].series[1].1, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(course.busiest_second(), 2);
        assert_eq!(course.json()["deliveredAfterSeconds"], 4.0);
    }
}
