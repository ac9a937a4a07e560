//! One line of the embedded metric format: metrics, their labels, and which metric has which
//! labels.

use metrics::{Key, Label};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The most metrics in one line.
const MAX_METRICS: usize = 100;

/// One line.
pub(super) struct Document<'a> {
    /// Milliseconds since the epoch.
    timestamp: i64,
    namespace: &'a str,
    /// The labels of all metrics, each once.
    labels: Vec<&'a Label>,
    directives: Vec<Directive<'a>>,
    values: Vec<(&'a str, Values)>,
}

/// Metrics with the same labels.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: [Vec<&'a str>; 1],
    metrics: Vec<Definition<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
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
    pub(super) fn new(namespace: &'a str, timestamp: i64) -> Self {
        Self {
            timestamp,
            namespace,
            labels: Vec::new(),
            directives: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Whether this metric fits into the line, in which each metric and each label can appear once.
    pub(super) fn has_room_for(&self, key: &Key) -> bool {
        let agrees = |label: &Label| {
            self.labels
                .iter()
                .all(|known| known.key() != label.key() || known.value() == label.value())
        };
        self.values.len() < MAX_METRICS
            && self.values.iter().all(|(name, _)| *name != key.name())
            && key.labels().all(agrees)
    }

    pub(super) fn add(&mut self, key: &'a Key, unit: Option<&'static str>, values: Values) {
        for label in key.labels() {
            if self.labels.iter().all(|known| known.key() != label.key()) {
                self.labels.push(label);
            }
        }
        let definition = Definition {
            name: key.name(),
            unit,
        };
        let names = || key.labels().map(Label::key);
        match self
            .directives
            .iter_mut()
            .find(|directive| directive.dimensions[0].iter().copied().eq(names()))
        {
            Some(directive) => directive.metrics.push(definition),
            None => self.directives.push(Directive {
                namespace: self.namespace,
                dimensions: [names().collect()],
                metrics: vec![definition],
            }),
        }
        self.values.push((key.name(), values));
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Aws<'a> {
            timestamp: i64,
            cloud_watch_metrics: &'a [Directive<'a>],
        }
        let mut members = serializer.serialize_map(None)?;
        let aws = Aws {
            timestamp: self.timestamp,
            cloud_watch_metrics: &self.directives,
        };
        members.serialize_entry("_aws", &aws)?;
        for label in &self.labels {
            members.serialize_entry(label.key(), label.value())?;
        }
        for (name, values) in &self.values {
            members.serialize_entry(name, values)?;
        }
        members.end()
    }
}
