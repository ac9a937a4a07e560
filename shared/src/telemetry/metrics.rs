//! All metrics, recorded through the `metrics` crate. The process installs the recorder:
//! CloudWatch's embedded metric format ([`super::Emf`]) on Lambda, Prometheus on a server of one's
//! own. Without a recorder nothing is recorded.
//!
//! Labels have few values (a route's template instead of a path, and never an id): each combination
//! is a series that costs money.

use std::{sync::Arc, time::Duration};

use ::metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use http::{Method, StatusCode};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts events.
    Counter,
    /// A current value.
    Gauge,
    /// Durations in seconds.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind, and with it its unit.
    pub kind: Kind,
    /// Its labels; CloudWatch calls them dimensions.
    pub labels: &'static [&'static str],
    /// What it measures.
    pub what: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    what: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        what,
    }
}

/// All metrics.
pub const ALL: [Metric; 19] = [
    metric(
        "requests",
        Kind::Counter,
        &["route", "method", "status"],
        "requests answered",
    ),
    metric(
        "request_latency",
        Kind::Histogram,
        &["route"],
        "time from request to response",
    ),
    metric(
        "cold_starts",
        Kind::Counter,
        &["route"],
        "first requests of an instance",
    ),
    metric(
        "degraded_requests",
        Kind::Counter,
        &["route"],
        "requests served while a store was unavailable",
    ),
    metric(
        "degradations",
        Kind::Counter,
        &["what"],
        "times a failed dependency was bypassed",
    ),
    metric(
        "shed_requests",
        Kind::Counter,
        &["limit"],
        "requests refused by a concurrency limit",
    ),
    metric(
        "admissions",
        Kind::Counter,
        &["policy"],
        "requests admitted by a rate limit",
    ),
    metric(
        "denials",
        Kind::Counter,
        &["policy"],
        "requests denied by a rate limit",
    ),
    metric(
        "breaker_state",
        Kind::Gauge,
        &["breaker"],
        "0 closed, 1 half-open, 2 open",
    ),
    metric(
        "breaker_transitions",
        Kind::Counter,
        &["breaker", "from", "to"],
        "changes of breaker_state",
    ),
    metric(
        "upstream_latency",
        Kind::Histogram,
        &["upstream"],
        "duration of a call to another service",
    ),
    metric(
        "upstream_errors",
        Kind::Counter,
        &["upstream", "errcode"],
        "failed calls, by error code",
    ),
    metric(
        "retries",
        Kind::Counter,
        &["upstream"],
        "calls retried after a failure",
    ),
    metric(
        "cache_reads",
        Kind::Counter,
        &["cache", "outcome"],
        "values looked up in a cache",
    ),
    metric(
        "cache_load_latency",
        Kind::Histogram,
        &["cache"],
        "duration of loading a value that a cache lacks",
    ),
    metric(
        "stream_records",
        Kind::Counter,
        &["outcome"],
        "changes of the table that the worker was handed",
    ),
    metric(
        "saga_failures",
        Kind::Counter,
        &[],
        "attempts of the worker to continue a deletion or merge that failed",
    ),
    metric(
        "webhook_deliveries",
        Kind::Counter,
        &["outcome"],
        "deliveries of webhooks, by what became of them",
    ),
    metric(
        "messages",
        Kind::Counter,
        &["outcome"],
        "messages to users that were worked on, by what became of them",
    ),
];

/// Describes all metrics and their units to the recorder. To be called once, after it was
/// installed.
pub fn describe() {
    for Metric {
        name, kind, what, ..
    } in ALL
    {
        match kind {
            Kind::Counter => describe_counter!(name, Unit::Count, what),
            Kind::Gauge => describe_gauge!(name, what),
            Kind::Histogram => describe_histogram!(name, Unit::Seconds, what),
        }
    }
}

/// A request was answered. `route` is the template, if one matched.
pub fn request(route: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
    let route = label(route);
    histogram!("request_latency", "route" => route.clone()).record(took);
    counter!("requests", "route" => route, "method" => method_label(method), "status" => status_label(status))
        .increment(1);
}

/// A request was the first one of its instance.
pub fn cold_start(route: Option<&str>) {
    counter!("cold_starts", "route" => label(route)).increment(1);
}

/// A request was served while a store was unavailable.
pub fn degraded_request(route: Option<&str>) {
    counter!("degraded_requests", "route" => label(route)).increment(1);
}

/// `what` failed, and work continued without it.
pub fn degradation(what: &'static str) {
    counter!("degradations", "what" => what).increment(1);
}

/// A request was refused because `limit` was reached.
pub fn shed(limit: &'static str) {
    counter!("shed_requests", "limit" => limit).increment(1);
}

/// A request was within the rate limit of `policy`.
pub fn admitted(policy: &'static str) {
    counter!("admissions", "policy" => policy).increment(1);
}

/// A request was above the rate limit of `policy`.
pub fn denied(policy: &'static str) {
    counter!("denials", "policy" => policy).increment(1);
}

/// What a circuit breaker does with calls, the most restrictive last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// Admits them.
    Closed,
    /// Admits one, as a probe.
    HalfOpen,
    /// Rejects them.
    Open,
}

impl BreakerState {
    fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Records the current state of a circuit breaker.
pub fn breaker_state(breaker: &'static str, state: BreakerState) {
    let number = match state {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    };
    gauge!("breaker_state", "breaker" => breaker).set(number);
}

/// A circuit breaker changed its state.
pub fn breaker_transition(breaker: &'static str, from: BreakerState, to: BreakerState) {
    counter!("breaker_transitions", "breaker" => breaker, "from" => from.word(), "to" => to.word())
        .increment(1);
}

/// A call to another service succeeded (`None`), or failed with this code ([`upstream_error`]).
pub fn upstream(upstream: &'static str, errcode: Option<String>, took: Duration) {
    upstream_latency(upstream, took);
    if let Some(errcode) = errcode {
        upstream_error(upstream, errcode);
    }
}

/// A call to another service ended, successfully or not.
pub fn upstream_latency(upstream: &'static str, took: Duration) {
    histogram!("upstream_latency", "upstream" => upstream).record(took);
}

/// A call to another service failed, with the service's own code or with a word of ours.
pub fn upstream_error(upstream: &'static str, errcode: String) {
    counter!("upstream_errors", "upstream" => upstream, "errcode" => errcode).increment(1);
}

/// A call to another service is retried.
pub fn retry(upstream: &'static str) {
    counter!("retries", "upstream" => upstream).increment(1);
}

/// How a read of a cache ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRead {
    /// With what was cached.
    Hit,
    /// Nothing was cached; this reader loaded it for all.
    Miss,
    /// With what another reader was loading.
    Wait,
    /// With a value that has expired, within the bound of its kind.
    Stale,
    /// This reader replaced a value before others had to wait for it.
    Renewal,
    /// Past the cache: shared state does not respond, or another reader was loading for too long.
    Bypass,
}

impl CacheRead {
    fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Wait => "wait",
            Self::Stale => "stale",
            Self::Renewal => "renewal",
            Self::Bypass => "bypass",
        }
    }
}

/// So many reads of `cache` ended this way.
pub fn cache_reads(cache: &'static str, read: CacheRead, count: u64) {
    counter!("cache_reads", "cache" => cache, "outcome" => read.word()).increment(count);
}

/// A row was loaded for `cache`, successfully or not.
pub fn cache_load(cache: &'static str, took: Duration) {
    histogram!("cache_load_latency", "cache" => cache).record(took);
}

/// What became of a record of the table's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRecord {
    /// Every reaction did what it does.
    Handled,
    /// It is to be delivered again.
    Failed,
    /// It can't be read, or a reaction gave it up.
    Skipped,
}

impl StreamRecord {
    fn word(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A record of the table's stream was handed to the worker.
pub fn stream_record(record: StreamRecord) {
    counter!("stream_records", "outcome" => record.word()).increment(1);
}

/// The worker could not continue a saga.
pub fn saga_failure() {
    counter!("saga_failures").increment(1);
}

/// What became of a delivery of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookDelivery {
    /// The receiver has it.
    Delivered,
    /// The receiver did not take it; it is tried again.
    Retried,
    /// It is not tried again; administrators see it.
    GivenUp,
    /// There was no attempt: the receiver is slow, or was silent. It is attempted by the schedule.
    Deferred,
    /// Its receiver is not configured; administrators see it.
    NotConfigured,
    /// An event that the queue did not take. It is in the table.
    NotQueued,
    /// It can't be read.
    Unreadable,
    /// A store of this service's failed.
    Failed,
}

impl WebhookDelivery {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GivenUp => "given_up",
            Self::Deferred => "deferred",
            Self::NotConfigured => "not_configured",
            Self::NotQueued => "not_queued",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
        }
    }
}

/// A delivery of a webhook was worked on.
pub fn webhook_delivery(delivery: WebhookDelivery) {
    counter!("webhook_deliveries", "outcome" => delivery.word()).increment(1);
}

/// What became of a message to a user that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageOutcome {
    /// WeChat took it.
    Sent,
    /// The user does not want it, or may not be sent it.
    Refused,
    /// It can't be sent.
    Failed,
    /// It is unknown whether WeChat took it. It is not sent again.
    Unconfirmed,
    /// It was not sent, and is tried again later.
    Retried,
    /// It waits because too many are sent.
    Limited,
    /// It can't be read.
    Unreadable,
    /// The table failed.
    NotStored,
}

impl MessageOutcome {
    fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
            Self::Retried => "retried",
            Self::Limited => "limited",
            Self::Unreadable => "unreadable",
            Self::NotStored => "not_stored",
        }
    }
}

/// A message to a user was worked on.
pub fn message(outcome: MessageOutcome) {
    counter!("messages", "outcome" => outcome.word()).increment(1);
}

/// A route as a label, shared by the metrics of a request.
fn label(route: Option<&str>) -> SharedString {
    Arc::<str>::from(route_label(route)).into()
}

/// A route as a label.
pub(super) fn route_label(route: Option<&str>) -> &str {
    route.unwrap_or("unmatched")
}

/// A status as a label, the usual ones without a copy.
fn status_label(status: StatusCode) -> SharedString {
    match status {
        StatusCode::OK => "200".into(),
        StatusCode::BAD_REQUEST => "400".into(),
        StatusCode::UNAUTHORIZED => "401".into(),
        StatusCode::NOT_FOUND => "404".into(),
        StatusCode::TOO_MANY_REQUESTS => "429".into(),
        StatusCode::SERVICE_UNAVAILABLE => "503".into(),
        other => other.as_str().to_owned().into(),
    }
}

/// A method as a label. Unknown ones share a value, because clients can invent any number of them.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ::metrics::with_local_recorder;

    use super::*;
    use crate::{
        clock::Clock,
        telemetry::{Detail, Emf, Views},
    };

    fn full() -> Views {
        Views {
            function: "login".to_owned(),
            detail: Detail::Full,
        }
    }

    /// Calls every function of this module.
    fn everything() {
        let (route, took) = (Some("/a/{id}"), Duration::from_millis(3));
        describe();
        request(route, &Method::GET, StatusCode::OK, took);
        cold_start(route);
        degraded_request(route);
        degradation("Redis");
        shed("requests");
        admitted("login");
        denied("login");
        breaker_transition("wechat", BreakerState::Closed, BreakerState::Open);
        breaker_state("wechat", BreakerState::Open);
        upstream("wechat", Some("-1".to_owned()), took);
        retry("wechat");
        cache_reads("profile", CacheRead::Hit, 2);
        cache_load("profile", took);
        stream_record(StreamRecord::Skipped);
        saga_failure();
        webhook_delivery(WebhookDelivery::GivenUp);
        message(MessageOutcome::Sent);
    }

    #[test]
    fn each_metric_has_its_labels_and_no_other_is_recorded() {
        let emf = Emf::new("test", full(), Clock::System);
        with_local_recorder(&emf, everything);
        let recorded: BTreeSet<_> = emf.keys().into_iter().collect();
        let text = |text: &str| text.to_owned();
        let documented = ALL.map(|metric| {
            (
                text(metric.name),
                metric.labels.iter().copied().map(text).collect(),
            )
        });
        assert_eq!(recorded, BTreeSet::from(documented));
    }

    #[test]
    fn client_input_never_becomes_a_label() {
        let emf = Emf::new("test", full(), Clock::System);
        with_local_recorder(&emf, || {
            for method in ["BREW", "WHEN", "X-9"] {
                request(
                    None,
                    &Method::from_bytes(method.as_bytes()).unwrap(),
                    StatusCode::NOT_FOUND,
                    Duration::ZERO,
                );
            }
        });
        let mut lines = Vec::new();
        emf.write(None, &mut lines).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!(
            (
                &document["requests"],
                &document["method"],
                &document["route"]
            ),
            (&3.into(), &"other".into(), &"unmatched".into())
        );
    }
}
