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
mod series;
mod views;

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

pub use self::views::{Detail, Views};
use self::{
    document::{Document, Metric},
    series::{Recorded, Recording, Series},
    views::{SERVER_ERRORS, UNAUTHORIZED, View, WECHAT_MISCONFIGURED},
};
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
    views: Views,
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
    /// Those that each recorded key adds to.
    of_key: HashMap<Key, Arc<Recording>>,
}

/// The places of the series that were recorded since the last line, in that order: a line costs
/// nothing for the others.
type Pending = Mutex<Vec<usize>>;

impl Emf {
    /// A recorder of metrics in this namespace.
    #[must_use]
    pub fn new(namespace: &str, views: Views, clock: Clock) -> Self {
        let namespace = namespace.to_owned();
        let derived = [SERVER_ERRORS, UNAUTHORIZED, WECHAT_MISCONFIGURED];
        let units = derived.map(|name| (KeyName::from_const_str(name), "Count"));
        Self(Arc::new(Registry {
            namespace,
            views,
            clock,
            series: Mutex::default(),
            units: Mutex::new(HashMap::from(units)),
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

    /// How many series it writes.
    pub(super) fn detail(&self) -> Detail {
        self.0.views.detail
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
            let Series {
                key,
                unit,
                aggregate,
                ..
            } = &**series;
            series.take(|values| {
                let metric = Metric {
                    key,
                    aggregate: *aggregate,
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

    fn recording(&self, key: &Key, kind: impl Fn() -> Recorded) -> Arc<Recording> {
        let all = &mut *lock(&self.0.series);
        if let Some(recording) = all.of_key.get(key) {
            return Arc::clone(recording);
        }
        let views = self.0.views.of(key).into_iter();
        let recording = Recording(views.map(|view| self.series(all, view, &kind)).collect());
        let recording = Arc::new(recording);
        all.of_key.insert(key.to_retained(), Arc::clone(&recording));
        recording
    }

    fn series(&self, all: &mut AllSeries, view: View, kind: impl Fn() -> Recorded) -> Arc<Series> {
        let View { key, aggregate } = view;
        if let Some(series) = all.index.get(&key).and_then(|place| all.list.get(*place)) {
            return Arc::clone(series);
        }
        let place = all.list.len();
        let series = Arc::new(Series {
            unit: lock(&self.0.units).get(key.name()).copied(),
            key,
            aggregate,
            recorded: kind(),
            writes_zero: self.detail() == Detail::Full,
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
        Counter::from_arc(self.recording(key, || Recorded::Counter(AtomicU64::default())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.recording(key, || Recorded::Gauge(Mutex::default())))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.recording(key, || Recorded::Histogram(Mutex::default())))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use http::{Method, StatusCode};
    use metrics::{Recorder, counter, gauge, histogram, with_local_recorder};
    use serde_json::{Value, json};

    use super::*;
    use crate::{clock::ManualClock, request::Notes, telemetry::AnsweredRequest};

    fn full() -> Views {
        Views {
            function: "login".to_owned(),
            detail: Detail::Full,
        }
    }

    fn emf() -> Emf {
        let emf = Emf::new(
            "weapp",
            full(),
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

    fn unavailable<'a>(route: Option<&'a str>, notes: &'a Notes) -> AnsweredRequest<'a> {
        AnsweredRequest {
            id: "r1",
            method: &Method::GET,
            route,
            status: StatusCode::SERVICE_UNAVAILABLE,
            latency: Duration::from_micros(1500),
            is_cold_start: false,
            notes,
        }
    }

    #[test]
    fn a_requests_log_line_has_the_metrics_that_agree_with_it() {
        let emf = emf();
        let notes = Notes {
            reason: Some("unavailable"),
            ..Notes::default()
        };
        let request = unavailable(Some("/a"), &notes);
        let mut lines = Vec::new();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a", "method" => "GET", "status" => "503")
                .increment(1);
            counter!("degraded", "route" => "/b").increment(1);
            counter!("retries", "upstream" => "wechat").increment(2);
            let line = LoggedRequest::at("2026-11-23T08:00:00.123456Z", Detail::Full, &request);
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
                r#""Dimensions":[["function"]],"#,
                r#""Metrics":[{"Name":"server_errors","Unit":"Count"}]},{"Namespace":"weapp","#,
                r#""Dimensions":[["upstream"]],"Metrics":[{"Name":"retries"}]}]},"#,
                r#""function":"login","upstream":"wechat","#,
                r#""requests":1,"server_errors":1,"retries":2}"#,
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

    /// As many functions as API Gateway calls.
    const FUNCTIONS: usize = 10;
    /// The others.
    const OTHERS: [&str; 4] = ["authorizer", "messages", "webhooks", "worker"];

    fn lean(function: &str) -> Emf {
        let views = Views {
            function: function.to_owned(),
            detail: Detail::Lean,
        };
        let emf = Emf::new("weapp", views, Clock::System);
        for name in ["upstream_errors", "degraded_requests"] {
            emf.describe_counter(name.into(), Some(Unit::Count), "".into());
        }
        emf
    }

    /// The series in lines: a metric with the labels of one of its sets.
    fn series(lines: &[Value]) -> BTreeSet<String> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut series = BTreeSet::new();
        for line in lines {
            for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
                for set in list(&directive["Dimensions"]) {
                    let labels = list(&set).iter().map(label(line)).collect::<Vec<_>>();
                    for metric in list(&directive["Metrics"]) {
                        series.insert(format!("{} {}", metric["Name"], labels.join(" ")));
                    }
                }
            }
        }
        series
    }

    fn label(line: &Value) -> impl Fn(&Value) -> String {
        |name| {
            let name = name.as_str().unwrap();
            format!("{name}={}", line[name])
        }
    }

    /// All that can happen to a function's requests, as far as it is measured.
    fn everything() {
        for status in ["200", "304", "401", "404", "429", "500", "503", "504"] {
            for route in ["/a", "/b"] {
                counter!("requests", "route" => route, "method" => "GET", "status" => status)
                    .increment(1);
                histogram!("request_latency", "route" => route).record(0.1);
                counter!("cold_starts", "route" => route).increment(1);
                counter!("degraded_requests", "route" => route).increment(1);
            }
        }
        for policy in ["login", "user", "guest"] {
            counter!("denials", "policy" => policy).increment(1);
            counter!("admissions", "policy" => policy).increment(1);
        }
        for limit in ["requests", "wechat"] {
            counter!("shed_requests", "limit" => limit).increment(1);
        }
        for upstream in ["wechat", "dynamodb", "redis", "objects", "sqs"] {
            for errcode in [
                "timeout", "connect", "40013", "40125", "40164", "-1", "45011",
            ] {
                counter!("upstream_errors", "upstream" => upstream, "errcode" => errcode)
                    .increment(1);
            }
            histogram!("upstream_latency", "upstream" => upstream).record(0.1);
        }
        gauge!("breaker_state", "breaker" => "wechat").set(2.0);
        counter!("cache_reads", "cache" => "profile", "outcome" => "hit").increment(1);
        for outcome in ["handled", "failed", "skipped"] {
            counter!("stream_records", "outcome" => outcome).increment(1);
        }
        counter!("saga_failures").increment(1);
        for outcome in ["delivered", "retried", "given_up", "dropped", "broken"] {
            counter!("webhook_deliveries", "outcome" => outcome).increment(1);
        }
        for outcome in ["sent", "refused", "failed", "unconfirmed", "retried"] {
            counter!("messages", "outcome" => outcome).increment(1);
        }
    }

    #[test]
    fn lean_metrics_of_all_functions_are_at_most_twenty_series() {
        let mut all = BTreeSet::new();
        let names = (0..FUNCTIONS).map(|function| format!("f{function}"));
        for name in names.chain(OTHERS.map(str::to_owned)) {
            let emf = lean(&name);
            with_local_recorder(&emf, everything);
            all.extend(series(&flushed(&emf)));
        }
        assert!(all.len() <= 20, "{}: {all:#?}", all.len());
    }

    #[test]
    fn a_healthy_request_writes_no_lean_metric() {
        let emf = lean("login");
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "/a", "method" => "GET", "status" => "200")
                .increment(1);
            histogram!("request_latency", "route" => "/a").record(0.1);
            histogram!("upstream_latency", "upstream" => "redis").record(0.1);
            counter!("admissions", "policy" => "login").increment(1);
            gauge!("breaker_state", "breaker" => "wechat").set(0.0);
        });
        assert_eq!(flushed(&emf), Vec::<Value>::new());
    }

    #[test]
    fn lean_metrics_sum_up_over_the_labels_that_they_do_not_have() {
        let emf = lean("login");
        with_local_recorder(&emf, || {
            for errcode in ["timeout", "40164"] {
                counter!("upstream_errors", "upstream" => "wechat", "errcode" => errcode)
                    .increment(1);
            }
            for route in ["/a", "/b"] {
                counter!("degraded_requests", "route" => route).increment(2);
            }
        });
        let mut line = Vec::new();
        emf.write(None, &mut line).unwrap();
        let line: Value = serde_json::from_slice(&line).unwrap();
        let directives = json!([
            {
                "Namespace": "weapp",
                "Dimensions": [["upstream"]],
                "Metrics": [{"Name": "upstream_errors", "Unit": "Count"}],
            },
            {
                "Namespace": "weapp",
                "Dimensions": [[]],
                "Metrics": [
                    {"Name": "wechat_misconfigured", "Unit": "Count"},
                    {"Name": "degraded_requests", "Unit": "Count"},
                ],
            },
        ]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"], directives);
        assert_eq!(
            (&line["upstream_errors"], &line["wechat_misconfigured"]),
            (&json!(2), &json!(1))
        );
        assert_eq!(
            (&line["degraded_requests"], &line["errcode"]),
            (&json!(4), &Value::Null)
        );
    }

    #[test]
    fn full_metrics_have_every_lean_series_too() {
        let (lean, full) = (lean("login"), emf());
        for emf in [&lean, &full] {
            with_local_recorder(emf, everything);
        }
        let (lean, full) = (series(&flushed(&lean)), series(&flushed(&full)));
        assert!(
            !lean.is_empty() && lean.is_subset(&full),
            "{lean:?} {full:?}"
        );
    }

    #[test]
    fn a_requests_lean_line_spells_its_status_as_a_number() {
        let emf = lean("user-info");
        let notes = Notes::default();
        let request = unavailable(None, &notes);
        let mut lines = Vec::new();
        with_local_recorder(&emf, || {
            counter!("requests", "route" => "unmatched", "method" => "GET", "status" => "503")
                .increment(1);
            let line = LoggedRequest::at("2026-11-23T08:00:00.123456Z", Detail::Lean, &request);
            emf.write(Some(&line), &mut lines).unwrap();
        });
        let line: Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!(
            (&line["status"], &line["function"], &line["server_errors"]),
            (&json!(503), &json!("user-info"), &json!(1))
        );
        assert!(line.get("route").is_none() && line.get("status_code").is_none());
    }
}
