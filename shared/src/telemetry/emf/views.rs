//! Which series a recorded metric adds to.
//!
//! CloudWatch bills a series (one name with one set of labels) for the hours in which it has values,
//! so by default there are few: what AWS does not measure itself, without the labels that multiply
//! it, and mostly of what goes wrong.

use metrics::{Key, Label};

/// How many series are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those that alarms need. What else there is to know of a request is in its log line.
    Lean,
    /// Those, and every metric with all of its labels.
    Full,
}

/// What all series of a recorder depend on.
#[derive(Clone, Debug)]
pub struct Views {
    /// The function's name: the label `function`.
    pub function: String,
    /// How many series there are.
    pub detail: Detail,
}

/// A label that stays, of a metric that alarms need.
type Kept = &'static [&'static str];

/// A metric of [`Detail::Lean`].
struct Lean {
    name: &'static str,
    labels: Kept,
    /// The values of its label that have a series; all, if it names none.
    only: &'static [&'static str],
}

const fn lean(name: &'static str, labels: Kept, only: &'static [&'static str]) -> Lean {
    Lean { name, labels, only }
}

/// The metrics of [`Detail::Lean`] that keep their names. Of other services AWS measures its own, and
/// that Redis fails is what `degraded_requests` counts.
const LEAN: [Lean; 7] = [
    lean("degraded_requests", &[], &[]),
    lean("shed_requests", &[], &[]),
    lean("breaker_state", &[], &[]),
    lean("upstream_errors", &["upstream"], &["wechat"]),
    lean("stream_records", &["outcome"], &["skipped"]),
    lean("saga_failures", &[], &[]),
    lean("webhook_deliveries", &["outcome"], &["given_up", "retried"]),
];

/// 5xx by function: what a new version of one did, however few of all requests it gets. Not of
/// functions whose failures are errors to Lambda, which counts those itself.
pub(super) const SERVER_ERRORS: &str = "server_errors";

/// Functions that API Gateway does not call: they fail as errors to Lambda.
const EVENT_FUNCTIONS: [&str; 3] = ["messages", "webhooks", "worker"];

/// 401 by the function whose 401 are errors to Lambda: what its alarm takes off.
pub(super) const UNAUTHORIZED: &str = "unauthorized";
const AUTHORIZER: &str = "authorizer";

/// Calls to WeChat that were refused for the credentials or the address of this server.
pub(super) const WECHAT_MISCONFIGURED: &str = "wechat_misconfigured";

/// AppID, AppSecret, IP whitelist.
/// <https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html>
const MISCONFIGURED: [&str; 3] = ["40013", "40125", "40164"];

/// A series.
pub(super) struct View {
    pub(super) key: Key,
    /// Labels of a second series of the same values: the one that [`Detail::Lean`] has alone.
    pub(super) aggregate: Option<Kept>,
}

impl Views {
    /// The series of what is recorded under this key.
    pub(super) fn of(&self, key: &Key) -> Vec<View> {
        let kept = LEAN.iter().find(|lean| lean.has(key));
        let kept = kept.map(|lean| lean.labels);
        let own = match (self.detail, kept) {
            (Detail::Full, aggregate) => Some(View {
                key: key.to_retained(),
                aggregate,
            }),
            (Detail::Lean, Some(labels)) => Some(plain(with_labels(key, labels))),
            (Detail::Lean, None) => None,
        };
        own.into_iter().chain(self.derived(key)).collect()
    }

    /// The series under another name.
    fn derived(&self, key: &Key) -> Option<View> {
        let is = |name: &str, values: &dyn Fn(&str) -> bool| {
            let mut labels = key.labels();
            labels.any(|label| label.key() == name && values(label.value()))
        };
        let by_function = |name: &'static str| {
            let label = Label::new("function", self.function.clone());
            plain(Key::from_parts(name, vec![label]))
        };
        if key.name() == "requests" && self.function == AUTHORIZER {
            let is_expected = is("status", &|status| status == "401");
            return is_expected.then(|| by_function(UNAUTHORIZED));
        }
        let is_event_function = EVENT_FUNCTIONS.contains(&&*self.function);
        if key.name() == "requests"
            && !is_event_function
            && is("status", &|status| status.starts_with('5'))
        {
            return Some(by_function(SERVER_ERRORS));
        }
        let is_misconfigured = key.name() == "upstream_errors"
            && is("upstream", &|upstream| upstream == "wechat")
            && is("errcode", &|errcode| MISCONFIGURED.contains(&errcode));
        is_misconfigured.then(|| plain(Key::from_name(WECHAT_MISCONFIGURED)))
    }
}

impl Lean {
    fn has(&self, key: &Key) -> bool {
        let is_named = |label: &Label| self.only.contains(&label.value());
        self.name == key.name() && (self.only.is_empty() || key.labels().any(is_named))
    }
}

fn plain(key: Key) -> View {
    let aggregate = None;
    View { key, aggregate }
}

/// The key with only these labels.
fn with_labels(key: &Key, labels: Kept) -> Key {
    let kept = key.labels().filter(|label| labels.contains(&label.key()));
    Key::from_parts(key.name_shared(), kept.cloned().collect::<Vec<_>>())
}
