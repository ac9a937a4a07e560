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

/// What one warm request uses.
#[derive(Default)]
pub struct Usage {
    pub request: String,
    /// Of a whole core.
    pub cpu_ms: f64,
    /// For Redis, DynamoDB and WeChat, one after the other.
    pub waits_ms: f64,
    pub memory_mb: f64,
    pub vcpu_mb: f64,
    /// Writes and reads of rows below 1 KB and 4 KB.
    pub writes: Vec<String>,
    pub reads: Vec<String>,
    pub ecpu: f64,
    pub log_bytes: f64,
    pub response_bytes: f64,
    pub wechat_bytes: f64,
}

impl Usage {
    /// From the budget's counts, the measured CPU time and the assumptions of the price file.
    pub fn of(request: &str, prices: &DocumentMut, budget: &DocumentMut, measured: &str) -> Self {
        let (assumed, budget) = (&prices["assumptions"], &budget[request]);
        let own = &prices["requests"][request];
        let trips = |service: &str| at(&budget[&format!("{service}-round-trips")]);
        let waits = ["redis", "dynamodb", "wechat"]
            .map(|service| trips(service) * at(&assumed[&format!("{service}-ms")]));
        let (writes, reads) = commands(&budget["dynamodb"])
            .into_iter()
            .partition(|command| !matches!(command.as_str(), "GetItem" | "Query"));
        let ecpu = commands(&budget["redis"]).into_iter().map(|command| {
            at(&assumed[match command.as_str() {
                "EVALSHA" => "script-ecpu",
                _ => "command-ecpu",
            }])
        });
        let platform = ["platform-bytes", "access-log-bytes"].map(|key| at(&assumed[key]));
        let overhead = at(&assumed["lines"]) * at(&assumed["line-overhead-bytes"]);
        Self {
            request: request.to_owned(),
            cpu_ms: cpu_us(measured, own["cpu-of"].as_str().unwrap()) / 1e3,
            waits_ms: waits.iter().sum(),
            memory_mb: at(&assumed["memory-mb"]),
            vcpu_mb: at(&assumed["vcpu-mb"]),
            writes,
            reads,
            ecpu: ecpu.sum(),
            log_bytes: at(&budget["logged-bytes"]) + platform.iter().sum::<f64>() + overhead,
            response_bytes: at(&own["response-bytes"]),
            wechat_bytes: trips("wechat") * at(&assumed["wechat-bytes"]),
        }
    }

    /// Its CPU time at this function's share of a core, and its waits; started milliseconds count.
    pub fn billed_ms(&self) -> f64 {
        (self.cpu_ms / (self.memory_mb / self.vcpu_mb) + self.waits_ms).ceil()
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

/// The CPU column of the row with this request, in microseconds.
fn cpu_us(measured: &str, request: &str) -> f64 {
    let row = measured
        .lines()
        .find(|line| line.contains(&format!("| {request} |")))
        .unwrap_or_else(|| panic!("docs/performance.md has no row of {request}"));
    let cpu = row.split('|').nth(7).unwrap();
    cpu.trim().trim_end_matches(" µs").parse().unwrap()
}

/// What is billed by the month.
pub struct Fixed {
    pub secrets: f64,
    /// Metrics that alarms look at: that many are billed, not the alarms.
    pub alarm_metrics: f64,
    pub metric_series: f64,
    pub hours: f64,
    pub cache_gb: f64,
}

impl Fixed {
    /// Counted in the template; the rest is assumed.
    pub fn of(prices: &DocumentMut, template: &str) -> Self {
        let assumed = &prices["assumptions"];
        let alarms = resources(template, "AWS::CloudWatch::Alarm");
        let metrics = alarms.map(|alarm| alarm.matches("MetricStat:").count().max(1));
        Self {
            secrets: count(resources(template, "AWS::SecretsManager::Secret").count()),
            alarm_metrics: count(metrics.sum()),
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
