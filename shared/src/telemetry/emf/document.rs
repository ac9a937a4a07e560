//! One line of the embedded metric format: metrics, their labels, and which metric has which
//! labels; and the request's log line, if it is the one that the request ends with.

use metrics::{Key, Label};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use crate::telemetry::answered_request::LoggedRequest;

/// The most metrics in one line.
const MAX_METRICS: usize = 100;

/// One line.
pub(super) struct Document<'a> {
    /// Milliseconds since the epoch.
    timestamp: i64,
    namespace: &'a str,
    request: Option<&'a LoggedRequest<'a>>,
    metrics: Vec<Metric<'a>>,
}

/// One metric of a line.
pub(super) struct Metric<'a> {
    pub(super) key: &'a Key,
    pub(super) aggregate: Option<&'static [&'static str]>,
    pub(super) unit: Option<&'static str>,
    pub(super) values: Values,
}

/// The values of one metric in one line.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Values {
    Count(u64),
    Level(f64),
    Each(Vec<f64>),
}

impl<'a> Document<'a> {
    pub(super) fn new(
        namespace: &'a str,
        timestamp: i64,
        request: Option<&'a LoggedRequest<'a>>,
    ) -> Self {
        Self {
            timestamp,
            namespace,
            request,
            metrics: Vec::new(),
        }
    }

    /// Whether this metric fits into the line, in which each metric and each label can appear once.
    pub(super) fn has_room_for(&self, key: &Key) -> bool {
        let agrees = |label: &Label| {
            self.label(label.key())
                .is_none_or(|known| known == label.value())
        };
        self.metrics.len() < MAX_METRICS
            && self
                .metrics
                .iter()
                .all(|known| known.key.name() != key.name())
            && key.labels().all(agrees)
    }

    pub(super) fn add(&mut self, metric: Metric<'a>) {
        self.metrics.push(metric);
    }

    /// The value of this label in the line.
    fn label(&self, name: &str) -> Option<&str> {
        let of_request = self.request.and_then(|request| request.label(name));
        let mut of_metrics = self.metrics.iter().flat_map(|metric| metric.key.labels());
        of_request.or_else(|| {
            of_metrics
                .find(|label| label.key() == name)
                .map(Label::value)
        })
    }
}

/// A label's value is a member, once, beside those that the request's log line has anyway.
impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        if let Some(request) = self.request {
            request.write_members(&mut members)?;
        }
        if !self.metrics.is_empty() {
            let aws = Aws {
                timestamp: self.timestamp,
                cloud_watch_metrics: Directives(self),
            };
            members.serialize_entry("_aws", &aws)?;
        }
        for (index, metric) in self.metrics.iter().enumerate() {
            let before = &self.metrics[..index];
            for label in metric.key.labels() {
                let is_known = |key: &Key| key.labels().any(|known| known.key() == label.key());
                let of_request = self.request.and_then(|request| request.label(label.key()));
                if of_request.is_none() && !before.iter().any(|metric| is_known(metric.key)) {
                    members.serialize_entry(label.key(), label.value())?;
                }
            }
        }
        for metric in &self.metrics {
            members.serialize_entry(metric.key.name(), &metric.values)?;
        }
        members.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Aws<'a> {
    timestamp: i64,
    cloud_watch_metrics: Directives<'a>,
}

/// A directive for each set of label names.
struct Directives<'a>(&'a Document<'a>);

impl Serialize for Directives<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Document {
            namespace, metrics, ..
        } = self.0;
        let mut directives = serializer.serialize_seq(None)?;
        for (index, metric) in metrics.iter().enumerate() {
            let (before, rest) = metrics.split_at(index);
            if !before.iter().any(|known| known.is_like(metric)) {
                directives.serialize_element(&Directive {
                    namespace,
                    dimensions: Dimensions(metric),
                    metrics: Definitions(metric, rest),
                })?;
            }
        }
        directives.end()
    }
}

/// Metrics with the same label names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: Dimensions<'a>,
    metrics: Definitions<'a>,
}

/// The sets of label names of a metric, each of which is a series.
struct Dimensions<'a>(&'a Metric<'a>);

impl Serialize for Dimensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sets = serializer.serialize_seq(None)?;
        sets.serialize_element(&Names(self.0.key))?;
        if let Some(labels) = self.0.aggregate {
            sets.serialize_element(labels)?;
        }
        sets.end()
    }
}

/// The names of a metric's labels.
struct Names<'a>(&'a Key);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.labels().map(Label::key))
    }
}

/// The definitions of those of these metrics that have the label names of this one.
struct Definitions<'a>(&'a Metric<'a>, &'a [Metric<'a>]);

impl Serialize for Definitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let alike = self.1.iter().filter(|metric| metric.is_like(self.0));
        serializer.collect_seq(alike.map(|metric| Definition {
            name: metric.key.name(),
            unit: metric.unit,
        }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

impl Metric<'_> {
    /// Whether its series have labels of the same names.
    fn is_like(&self, other: &Self) -> bool {
        let names = |key| Key::labels(key).map(Label::key);
        names(self.key).eq(names(other.key)) && self.aggregate == other.aggregate
    }
}
