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

/// The metrics of [`Detail::Lean`] that keep their names, and the labels that they keep.
const LEAN: [(&str, Kept); 7] = [
    ("degraded_requests", &[]),
    ("shed_requests", &[]),
    ("denials", &[]),
    ("breaker_state", &[]),
    ("upstream_errors", &["upstream"]),
    ("stream_records", &["outcome"]),
    ("webhook_deliveries", &["outcome"]),
];

/// 5xx by function: what a new version of one did, however few of all requests it gets. Not of the
/// authorizer, whose 5xx Lambda counts.
pub(super) const SERVER_ERRORS: &str = "server_errors";

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
        let kept = LEAN.iter().find(|(name, _)| *name == key.name());
        let kept = kept.map(|(_, labels)| *labels);
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
        if key.name() == "requests" && is("status", &|status| status.starts_with('5')) {
            return Some(by_function(SERVER_ERRORS));
        }
        let is_misconfigured = key.name() == "upstream_errors"
            && is("upstream", &|upstream| upstream == "wechat")
            && is("errcode", &|errcode| MISCONFIGURED.contains(&errcode));
        is_misconfigured.then(|| plain(Key::from_name(WECHAT_MISCONFIGURED)))
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
