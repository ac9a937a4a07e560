//! What a request uses, and what a deployment has without requests.

use toml_edit::{DocumentMut, Item, Value};

/// A number, whole or not.
pub fn number(value: &Value) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "amounts far below 2^52")]
    let whole = value.as_integer().map(|whole| whole as f64);
    value.as_float().or(whole).unwrap()
}

fn at(item: &Item) -> f64 {
    number(item.as_value().unwrap())
}

/// What one warm request leaves in the logs, each line with what counts besides its text.
#[derive(Default)]
pub struct LogBytes {
    /// The function's own line.
    pub own: f64,
    /// The same with `METRICS=emf`.
    pub own_with_emf: f64,
    /// START, END and REPORT.
    pub platform: f64,
    /// API Gateway's line.
    pub access: f64,
    /// What the worker logs afterwards.
    pub worker: f64,
}

impl LogBytes {
    /// As the template has it.
    pub fn sum(&self) -> f64 {
        self.own + self.platform + self.access + self.worker
    }
}

/// What one warm request uses.
#[derive(Default)]
pub struct Usage {
    pub request: String,
    /// The median of what was measured.
    pub measured_ms: f64,
    /// For Redis, DynamoDB and WeChat, one after the other.
    pub waits_ms: f64,
    pub memory_mb: f64,
    /// Writes and reads of rows below 1 KB and 4 KB.
    pub writes: Vec<String>,
    pub reads: Vec<String>,
    pub ecpu: f64,
    pub log: LogBytes,
    pub response_bytes: f64,
    pub wechat_bytes: f64,
}

impl Usage {
    /// From the budget's counts, what was measured and the assumptions of the price file.
    pub fn of(
        request: &str,
        prices: &DocumentMut,
        budget: &DocumentMut,
        measured: &DocumentMut,
    ) -> Self {
        let (assumed, budget) = (&prices["assumptions"], &budget[request]);
        let own = &measured[request];
        let trips = |service: &str| at(&budget[&format!("{service}-round-trips")]);
        let waits = ["redis", "dynamodb", "wechat"]
            .map(|service| trips(service) * at(&assumed[&format!("{service}-ms")]));
        let after = prices["after"].get(request);
        let of_worker = after.map(|after| commands(&after["dynamodb"]));
        let of_worker = of_worker.into_iter().flatten();
        let (writes, reads) = commands(&budget["dynamodb"])
            .into_iter()
            .chain(of_worker.map(|command| format!("{command} (worker)")))
            .partition(|command| !command.starts_with("GetItem") && !command.starts_with("Query"));
        let ecpu = commands(&budget["redis"]).into_iter().map(|command| {
            at(&assumed[match command.as_str() {
                "EVALSHA" => "script-ecpu",
                _ => "command-ecpu",
            }])
        });
        let overhead = at(&assumed["line-overhead-bytes"]);
        let log = LogBytes {
            own: at(&budget["logged-bytes"]) + overhead,
            own_with_emf: at(&own["emf-log-bytes"]) + overhead,
            platform: at(&assumed["platform-bytes"]) + 3.0 * overhead,
            access: at(&assumed["access-log-bytes"]) + overhead,
            worker: after.map_or(0.0, |after| at(&after["logged-bytes"]) + overhead),
        };
        Self {
            request: request.to_owned(),
            measured_ms: at(&own["billed-ms"]),
            waits_ms: waits.iter().sum(),
            memory_mb: at(&measured["memory-mb"]),
            writes,
            reads,
            ecpu: ecpu.sum(),
            log,
            response_bytes: at(&own["response-bytes"]),
            wechat_bytes: trips("wechat") * at(&assumed["wechat-bytes"]),
        }
    }

    /// Started milliseconds count.
    pub fn billed_ms(&self) -> f64 {
        self.measured_ms.ceil()
    }

    /// Of one request.
    pub fn gb_seconds(&self) -> f64 {
        self.billed_ms() / 1e3 * self.memory_mb / 1024.0
    }
}

fn commands(list: &Item) -> Vec<String> {
    let commands = list.as_array().unwrap().iter();
    commands
        .map(|command| command.as_str().unwrap().to_owned())
        .collect()
}

/// What is billed by the month.
pub struct Fixed {
    pub secrets: f64,
    /// Metrics that alarms look at: that many are billed, not the alarms.
    pub alarm_metrics: f64,
    /// Those of the alarms that end a deployment.
    pub canary_metrics: f64,
    pub metric_series: f64,
    pub hours: f64,
    pub cache_gb: f64,
}

impl Fixed {
    /// Counted in the template; the rest is assumed.
    pub fn of(prices: &DocumentMut, template: &str) -> Self {
        let assumed = &prices["assumptions"];
        let alarms = resources(template, "AWS::CloudWatch::Alarm");
        let metrics = alarms.map(|alarm| {
            let metrics = alarm.matches("MetricStat:").count().max(1);
            (alarm.contains("Condition: HasCanary"), metrics)
        });
        let (canary, others): (Vec<_>, Vec<_>) = metrics.partition(|(is_canary, _)| *is_canary);
        let sum = |alarms: Vec<(bool, usize)>| count(alarms.iter().map(|(_, count)| count).sum());
        Self {
            secrets: count(resources(template, "AWS::SecretsManager::Secret").count()),
            alarm_metrics: sum(others),
            canary_metrics: sum(canary),
            metric_series: at(&assumed["metric-series"]),
            hours: at(&assumed["hours"]),
            cache_gb: at(&assumed["cache-minimum-gb"]),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen")]
fn count(things: usize) -> f64 {
    things as f64
}

/// The text of each resource of a type, from its type to the next resource.
fn resources<'a>(template: &'a str, kind: &str) -> impl Iterator<Item = &'a str> {
    let mark = format!("    Type: {kind}\n");
    let parts: Vec<_> = template.split(mark.as_str()).skip(1).collect();
    parts
        .into_iter()
        .map(|rest| rest.split("\n    Type: ").next().unwrap_or(rest))
}
