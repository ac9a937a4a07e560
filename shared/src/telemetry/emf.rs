//! Metrics in CloudWatch's embedded metric format: lines on stdout that CloudWatch turns into
//! metrics. No API call, no agent, no background task: what an invocation recorded is written
//! before its response is sent, in the line that logs the request.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The crate for this, `metrics_cloudwatch_embedded`, writes one line for each set of labels, and
//! all gauges each time; log lines cost money. Here an invocation writes a single line if its
//! labels allow it.

mod document;

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use self::document::{Document, Metric, Values};
use super::answered_request::LoggedRequest;
use crate::clock::Clock;

/// The most values of one metric in one line.
const MAX_VALUES: usize = 100;

/// The length that most lines stay below, in bytes.
const USUAL_LENGTH: usize = 2048;

/// The recorder of the process.
static INSTALLED: OnceLock<Emf> = OnceLock::new();

/// The recorder. Cheap to clone.
#[derive(Clone)]
pub struct Emf(Arc<Registry>);

struct Registry {
    namespace: String,
    clock: Clock,
    series: Mutex<AllSeries>,
    units: Mutex<HashMap<KeyName, &'static str>>,
    pending: Arc<Pending>,
}

/// Every series that was ever recorded.
#[derive(Default)]
struct AllSeries {
    list: Vec<Arc<Series>>,
    /// Their places in the list.
    index: HashMap<Key, usize>,
}

/// The places of the series that were recorded since the last line, in that order: a line costs
/// nothing for the others.
type Pending = Mutex<Vec<usize>>;

/// One metric name with one set of labels.
struct Series {
    key: Key,
    unit: Option<&'static str>,
    recorded: Recorded,
    place: usize,
    is_pending: AtomicBool,
    pending: Arc<Pending>,
}

/// What was recorded since the last line.
enum Recorded {
    Counter(AtomicU64),
    /// The value, and whether it was set since the last line.
    Gauge(Mutex<(f64, bool)>),
    Histogram(Mutex<Vec<f64>>),
}

impl Emf {
    /// A recorder of metrics in this namespace.
    #[must_use]
    pub fn new(namespace: &str, clock: Clock) -> Self {
        let namespace = namespace.to_owned();
        Self(Arc::new(Registry {
            namespace,
            clock,
            series: Mutex::default(),
            units: Mutex::default(),
            pending: Arc::default(),
        }))
    }

    /// Makes it the recorder of the process, whose requests then end with a line that has both their
    /// log and their metrics. Without effect where there is a recorder already.
    pub fn install(self) {
        if metrics::set_global_recorder(self.clone()).is_ok() {
            super::metrics::describe();
            INSTALLED.get_or_init(|| self);
        }
    }

    /// The recorder of the process, if it is one of this kind.
    pub(super) fn installed() -> Option<&'static Self> {
        INSTALLED.get()
    }

    /// Writes what was recorded since the last line. The first line has the log line of `request`,
    /// too.
    ///
    /// # Errors
    /// Those of `out`; what could not be written is lost.
    pub(super) fn write(
        &self,
        request: Option<&LoggedRequest<'_>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let timestamp = self.0.clock.now().as_millisecond();
        let document = |request| Document::new(&self.0.namespace, timestamp, request);
        let series = lock(&self.0.series);
        let pending = std::mem::take(&mut *lock(&self.0.pending));
        let mut documents: Vec<_> = request
            .map(|request| document(Some(request)))
            .into_iter()
            .collect();
        for series in pending
            .into_iter()
            .filter_map(|place| series.list.get(place))
        {
            let Series { key, unit, .. } = &**series;
            series.take(|values| {
                let metric = Metric {
                    key,
                    unit: *unit,
                    values,
                };
                let mut known = documents.iter_mut();
                if let Some(document) = known.find(|document| document.has_room_for(key)) {
                    document.add(metric);
                } else {
                    let mut document = document(None);
                    document.add(metric);
                    documents.push(document);
                }
            });
        }
        let mut lines = Vec::with_capacity(USUAL_LENGTH);
        for document in documents {
            serde_json::to_writer(&mut lines, &document)?;
            lines.push(b'\n');
        }
        // One write, so that other output can't end up inside a line.
        out.write_all(&lines)
    }

    /// The name and the label names of every series recorded so far.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<(String, Vec<String>)> {
        let names = |key: &Key| key.labels().map(|label| label.key().to_owned()).collect();
        lock(&self.0.series)
            .index
            .keys()
            .map(|key| (key.name().to_owned(), names(key)))
            .collect()
    }

    /// The lines with what was recorded since the last one.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let mut text = Vec::new();
        assert!(self.write(None, &mut text).is_ok());
        let lines = serde_json::Deserializer::from_slice(&text).into_iter();
        lines.map_while(Result::ok).collect()
    }

    fn series(&self, key: &Key, kind: impl FnOnce() -> Recorded) -> Arc<Series> {
        let all = &mut *lock(&self.0.series);
        if let Some(series) = all.index.get(key).and_then(|place| all.list.get(*place)) {
            return Arc::clone(series);
        }
        let place = all.list.len();
        let series = Arc::new(Series {
            key: key.to_retained(),
            unit: lock(&self.0.units).get(key.name()).copied(),
            recorded: kind(),
            place,
            is_pending: AtomicBool::default(),
            pending: Arc::clone(&self.0.pending),
        });
        all.index.insert(series.key.clone(), place);
        all.list.push(Arc::clone(&series));
        series
    }

    fn unit(&self, name: KeyName, unit: Option<Unit>) {
        let unit = match unit {
            Some(Unit::Count) => "Count",
            Some(Unit::Seconds) => "Seconds",
            _ => return,
        };
        lock(&self.0.units).insert(name, unit);
    }
}

impl Series {
    /// To be called after something was recorded.
    fn recorded(&self) {
        if !self.is_pending.swap(true, Ordering::AcqRel) {
            lock(&self.pending).push(self.place);
        }
    }

    /// Takes what was recorded since the last line, as values that fit into one.
    fn take(&self, mut each: impl FnMut(Values)) {
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
                if std::mem::take(set) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder for Emf {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.unit(name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.unit(name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.unit(name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key, || Recorded::Counter(AtomicU64::default())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key, || Recorded::Gauge(Mutex::default())))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key, || Recorded::Histogram(Mutex::default())))
    }
}

impl CounterFn for Series {
    fn increment(&self, by: u64) {
        if let Recorded::Counter(sum) = &self.recorded {
            sum.fetch_add(by, Ordering::AcqRel);
            self.recorded();
        }
    }

    fn absolute(&self, value: u64) {
        if let Recorded::Counter(sum) = &self.recorded {
            sum.fetch_max(value, Ordering::AcqRel);
            self.recorded();
        }
    }
}

impl Series {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        if let Recorded::Gauge(value) = &self.recorded {
            let (value, set) = &mut *lock(value);
            (*value, *set) = (change(*value), true);
        }
        self.recorded();
    }
}

impl GaugeFn for Series {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        if let Recorded::Histogram(values) = &self.recorded {
            lock(values).push(value);
            self.recorded();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Method, StatusCode};
    use metrics::{Recorder, counter, gauge, histogram, with_local_recorder};
    use serde_json::{Value, json};

    use super::*;
    use crate::{clock::ManualClock, request::Notes, telemetry::AnsweredRequest};

    fn emf() -> Emf {
        let emf = Emf::new(
            "weapp",
            Clock::Manual(ManualClock::new(
                "2026-11-23T08:00:00.123Z".parse().unwrap(),
            )),
        );
        emf.describe_counter("requests".into(), Some(Unit::Count), "".into());
        emf.describe_histogram("latency".into(), Some(Unit::Seconds), "".into());
        emf
    }

    fn flushed(emf: &Emf) -> Vec<Value> {
        let mut lines = Vec::new();
        emf.write(None, &mut lines).unwrap();
        String::from_utf8(lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_follows_the_specification() {
        let emf = emf();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a", "status" => "200").increment(2);
        });
        let mut line = Vec::new();
        emf.write(None, &mut line).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"_aws":{"Timestamp":1795420800123,"CloudWatchMetrics":[{"Namespace":"weapp","#,
                r#""Dimensions":[["route","status"]],"Metrics":[{"Name":"requests","Unit":"Count"}]}]},"#,
                r#""route":"/a","status":"200","requests":2}"#,
                "\n"
            )
        );
        assert_eq!(
            flushed(&emf),
            Vec::<Value>::new(),
            "nothing is written twice"
        );
    }

    #[test]
    fn a_requests_log_line_has_the_metrics_that_agree_with_it() {
        let emf = emf();
        let notes = Notes {
            reason: Some("unavailable"),
            ..Notes::default()
        };
        let request = AnsweredRequest {
            id: "r1",
            method: &Method::GET,
            route: Some("/a"),
            status: StatusCode::SERVICE_UNAVAILABLE,
            latency: Duration::from_micros(1500),
            is_cold_start: false,
            notes: &notes,
        };
        let mut lines = Vec::new();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a", "method" => "GET", "status" => "503")
                .increment(1);
            counter!("degraded", "route" => "/b").increment(1);
            counter!("retries", "upstream" => "wechat").increment(2);
            let line = LoggedRequest::at("2026-11-23T08:00:00.123456Z", &request);
            emf.write(Some(&line), &mut lines).unwrap();
        });
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            concat!(
                r#"{"timestamp":"2026-11-23T08:00:00.123456Z","level":"ERROR","message":"request","#,
                r#""request_id":"r1","method":"GET","route":"/a","status":"503","status_code":503,"#,
                r#""latency_ms":1.5,"cold_start":false,"reason":"unavailable","degraded":false,"#,
                r#""redis_ms":0.0,"target":"shared::edge::access_log","#,
                r#""_aws":{"Timestamp":1795420800123,"CloudWatchMetrics":[{"Namespace":"weapp","#,
                r#""Dimensions":[["route","method","status"]],"#,
                r#""Metrics":[{"Name":"requests","Unit":"Count"}]},{"Namespace":"weapp","#,
                r#""Dimensions":[["upstream"]],"Metrics":[{"Name":"retries"}]}]},"#,
                r#""upstream":"wechat","requests":1,"retries":2}"#,
                "\n",
                r#"{"_aws":{"Timestamp":1795420800123,"CloudWatchMetrics":[{"Namespace":"weapp","#,
                r#""Dimensions":[["route"]],"Metrics":[{"Name":"degraded"}]}]},"#,
                r#""route":"/b","degraded":1}"#,
                "\n"
            )
        );
    }

    #[test]
    fn metrics_without_conflicting_labels_share_a_line() {
        let emf = emf();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a", "status" => "200").increment(1);
            histogram!("latency", "route" => "/a").record(0.25);
            gauge!("breaker", "name" => "wechat").set(2.0);
        });
        let lines = flushed(&emf);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!(
            (&line["requests"], &line["latency"], &line["breaker"]),
            (&json!(1), &json!([0.25]), &json!(2.0))
        );
        assert_eq!(
            (&line["route"], &line["status"], &line["name"]),
            (&json!("/a"), &json!("200"), &json!("wechat"))
        );
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(),
            3
        );
    }

    #[test]
    fn metrics_with_conflicting_labels_get_a_line_each() {
        let emf = emf();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a").increment(1);
            counter!("requests", "route" => "/b").increment(2);
            histogram!("latency", "route" => "/b").record(0.5);
        });
        let mut lines = flushed(&emf);
        lines.sort_by_key(|line| line["requests"].as_u64());
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(
            (&lines[0]["route"], &lines[0]["latency"]),
            (&json!("/a"), &Value::Null)
        );
        assert_eq!(
            (&lines[1]["route"], &lines[1]["latency"]),
            (&json!("/b"), &json!([0.5]))
        );
    }

    #[test]
    fn a_line_has_at_most_a_hundred_values_of_a_metric() {
        let emf = emf();
        with_local_recorder(&emf, || {
            (0..250).for_each(|_| histogram!("latency").record(1.0));
        });
        let counts: Vec<_> = flushed(&emf)
            .iter()
            .map(|line| line["latency"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [100, 100, 50]);
    }

    #[test]
    fn a_gauge_is_written_when_it_was_set_and_keeps_its_value() {
        let emf = emf();
        let change = |by: f64| with_local_recorder(&emf, || gauge!("breaker").increment(by));
        change(2.0);
        assert_eq!(flushed(&emf)[0]["breaker"], json!(2.0));
        assert_eq!(flushed(&emf), Vec::<Value>::new());
        change(-1.0);
        assert_eq!(flushed(&emf)[0]["breaker"], json!(1.0));
    }
}
