//! The two header fields that report rate limits to a client
//! (draft-ietf-httpapi-ratelimit-headers-11), as lists of structured fields (RFC 9651).
//!
//! The draft describes windows; a bucket maps to them as follows. `q` is what a full bucket holds
//! and `w` the time an empty one takes to fill, so that `q` per `w` is the rate and `r` is counted
//! on the same scale as `q`. `t` is the "time within which the client can use no more than the
//! available quota": until the next unit is back, not until the bucket is full. With the latter,
//! `Retry-After` would have to be as long (§6). Policies in shadow mode are not shown.

use std::time::Duration;

use super::{BucketState, Cost, Decision, Mode, Policy};

/// The value of `RateLimit-Policy`: the policies that apply to this request. Empty when none does.
#[must_use]
pub fn policies_field(costs: &[Cost]) -> String {
    let shown = costs
        .iter()
        .filter(|cost| cost.mode() != Mode::Shadow)
        .map(Cost::policy);
    joined(shown.map(|policy: &Policy| {
        format!(
            "\"{}\";q={};w={}",
            policy.name(),
            policy.burst(),
            whole_seconds(policy.refill())
        )
    }))
}

/// The value of `RateLimit`: what is left of each policy. Empty when none applies.
#[must_use]
pub fn standings_field(decision: &Decision) -> String {
    let shown = decision
        .buckets
        .iter()
        .filter(|bucket| bucket.cost.mode() != Mode::Shadow);
    joined(shown.map(|bucket: &BucketState| {
        let (name, left) = (bucket.policy().name(), bucket.remaining());
        format!(
            "\"{name}\";r={left};t={}",
            whole_seconds(bucket.grows_after())
        )
    }))
}

/// Rounded up, so that a client that waits this long is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kv::Step,
        resilience::rate_limit::{Charge, Identity},
    };

    fn charge() -> Charge {
        let user = Policy::new("user", 40, 120, Duration::from_mins(1)).unwrap();
        let login = Policy::new("login", 3, 7, Duration::from_secs(10)).unwrap();
        let trial = Policy::new("trial", 1, 1, Duration::from_secs(1)).unwrap();
        let costs = vec![
            user.cost(1).unwrap(),
            login.cost(3).unwrap(),
            trial.cost(1).unwrap().with_mode(Mode::Shadow),
        ];
        Charge::new(Identity::Address([127, 0, 0, 1].into()), costs)
    }

    #[test]
    fn the_policies_are_buckets_and_the_time_they_take_to_fill() {
        assert_eq!(
            policies_field(charge().costs()),
            r#""user";q=40;w=20, "login";q=3;w=5"#
        );
    }

    #[test]
    fn the_standings_are_the_units_left_and_the_time_until_the_next() {
        let charge = charge();
        let decision = charge
            .decision(&charge.apply(0, &[None, None, None]).reply)
            .unwrap();
        assert_eq!(
            standings_field(&decision),
            r#""user";r=39;t=1, "login";r=0;t=2"#
        );
    }

    #[test]
    fn without_policies_both_fields_are_empty() {
        let charge = Charge::new(Identity::Address([127, 0, 0, 1].into()), vec![]);
        assert_eq!(policies_field(charge.costs()), "");
        assert_eq!(standings_field(&charge.decision(&[]).unwrap()), "");
    }
}
