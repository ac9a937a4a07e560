use proptest::{collection::vec, prelude::*};

use super::{super::Policy, *};
use crate::ids::UserId;

const NOW: Micros = 1_800_000_000_000_000;

fn identity() -> Identity {
    Identity::User(UserId(uuid::Uuid::nil()))
}

/// A policy that holds `burst` units of `interval` microseconds.
fn policy(name: &'static str, burst: u32, interval: u64) -> Policy {
    Policy::new(name, burst, 1, Duration::from_micros(interval)).unwrap()
}

/// The stored buckets.
struct Buckets(Vec<Option<Bytes>>);

impl Buckets {
    fn new<const N: usize>(stored: [Option<&str>; N]) -> Self {
        Self(
            stored
                .map(|value| value.map(|text| Bytes::copy_from_slice(text.as_bytes())))
                .into(),
        )
    }

    fn take(&mut self, now: Micros, charge: &Charge) -> (Decision, Vec<Write>) {
        let applied = charge.apply(now, &self.0);
        for (value, write) in zip(&mut self.0, &applied.writes) {
            match write {
                Write::Keep => {}
                Write::Put(bytes, _) => *value = Some(bytes.clone()),
                Write::Delete => *value = None,
            }
        }
        (charge.decision(&applied.reply).unwrap(), applied.writes)
    }

    fn admits(&mut self, now: Micros, charge: &Charge) -> bool {
        self.take(now, charge).0.is_admitted()
    }

    fn text(&self, at: usize) -> Option<&str> {
        self.0[at]
            .as_deref()
            .map(|bytes| str::from_utf8(bytes).unwrap())
    }
}

fn micros(number: u64) -> Duration {
    Duration::from_micros(number)
}

#[test]
fn the_keys_share_the_identitys_slot() {
    let charge = Charge::new(identity(), vec![policy("user", 1, 1).cost(1).unwrap()]);
    assert_eq!(
        charge.keys(),
        ["{u:00000000-0000-0000-0000-000000000000}:rl:user"]
    );
}

#[test]
fn the_stored_value_is_the_moment_at_which_the_bucket_is_full() {
    let charge = Charge::new(identity(), vec![policy("a", 10, 1_500).cost(3).unwrap()]);
    let mut buckets = Buckets::new([None]);
    let (decision, writes) = buckets.take(NOW, &charge);
    assert_eq!(
        writes,
        [Write::Put(
            Bytes::from("1800000000004500"),
            Duration::from_millis(5)
        )]
    );
    let [bucket] = decision.buckets[..] else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (bucket.remaining(), bucket.reset_after, bucket.retry_after),
        (7, micros(4500), Duration::ZERO)
    );
    assert_eq!(bucket.grows_after(), micros(1500));
}

#[test]
fn a_denial_costs_nothing_and_says_how_long_to_wait() {
    let policy = policy("a", 10, 1000);
    let (seven, five) = (policy.cost(7).unwrap(), policy.cost(5).unwrap());
    let mut buckets = Buckets::new([None]);
    assert!(buckets.admits(NOW, &Charge::new(identity(), vec![seven])));
    let (decision, writes) = buckets.take(NOW + 500, &Charge::new(identity(), vec![five]));
    assert_eq!(writes, [Write::Keep]);
    let [bucket] = decision.buckets[..] else {
        panic!("{decision:?}")
    };
    assert_eq!(
        (bucket.remaining(), bucket.reset_after, bucket.retry_after),
        (3, micros(6500), micros(1500))
    );
    assert_eq!(bucket.grows_after(), micros(500));
    assert_eq!(decision.retry_after(), micros(1500));
}

#[test]
fn one_denial_keeps_the_other_buckets_untouched() {
    let charge = Charge::new(
        identity(),
        vec![
            policy("wide", 10, 1000).cost(1).unwrap(),
            policy("narrow", 1, 1000).cost(1).unwrap(),
        ],
    );
    let mut buckets = Buckets::new([None, None]);
    assert!(buckets.admits(NOW, &charge));
    let before = buckets.0.clone();
    let (decision, _) = buckets.take(NOW, &charge);
    assert!(!decision.is_admitted());
    assert_eq!(
        decision
            .denials()
            .map(|bucket| bucket.policy().name())
            .collect::<Vec<_>>(),
        ["narrow"]
    );
    assert_eq!(buckets.0, before);
}

#[test]
fn a_shadow_policy_denies_nothing_and_charges_nothing_when_it_would_have_denied() {
    let narrow = policy("narrow", 1, 1000)
        .cost(1)
        .unwrap()
        .with_mode(Mode::Shadow);
    let charge = Charge::new(
        identity(),
        vec![narrow, policy("wide", 10, 1000).cost(1).unwrap()],
    );
    let mut buckets = Buckets::new([None, None]);
    assert!(buckets.admits(NOW, &charge));
    let (decision, writes) = buckets.take(NOW, &charge);
    assert!(decision.is_admitted());
    assert_eq!(decision.retry_after(), Duration::ZERO);
    assert_eq!(
        decision
            .shadow_denials()
            .map(|bucket| bucket.policy().name())
            .collect::<Vec<_>>(),
        ["narrow"]
    );
    assert_eq!(writes[0], Write::Keep);
    assert_eq!(buckets.text(1), Some("1800000000002000"));
}

#[test]
fn a_refund_gives_back_what_was_taken_and_no_more() {
    let cost = policy("a", 10, 1000).cost(4).unwrap();
    let charge = Charge::new(identity(), vec![cost]);
    let mut buckets = Buckets::new([None]);
    buckets.take(NOW, &charge);
    let (decision, _) = buckets.take(NOW, &charge);
    let refund = charge.refund(&decision).unwrap();
    for left in [6, 10, 10] {
        assert_eq!(buckets.take(NOW, &refund).0.buckets[0].remaining(), left);
    }
    assert_eq!(buckets.text(0), Some("1800000000000000"));
}

#[test]
fn a_denial_has_nothing_to_refund() {
    let charge = Charge::new(identity(), vec![policy("a", 1, 1000).cost(1).unwrap()]);
    let mut buckets = Buckets::new([None]);
    buckets.take(NOW, &charge);
    let (denied, _) = buckets.take(NOW, &charge);
    assert!(charge.refund(&denied).is_none());
}

#[test]
fn a_denied_site_charges_none_of_its_networks() {
    let site_cost = policy("login-48", 1, 1000).cost(1).unwrap();
    let from = |address: &str| {
        let address = address.parse().unwrap();
        let cost = policy("login", 10, 1000).cost(1).unwrap();
        Charge::new(Identity::Address(address), vec![cost])
            .and(Identity::site(address).unwrap(), site_cost)
    };
    let (one, other) = (from("2001:db8:1:2::1"), from("2001:db8:1:3::1"));
    assert_eq!(one.keys()[1], other.keys()[1]);
    let mut site = Buckets::new([None, None]);
    assert!(site.admits(NOW, &one));
    let mut second = Buckets::new([None, site.text(1)]);
    assert!(!second.admits(NOW, &other));
    assert_eq!(second.text(0), None);
}

#[test]
fn an_invalid_value_counts_as_a_full_bucket() {
    let charge = Charge::new(identity(), vec![policy("a", 10, 1000).cost(1).unwrap()]);
    for garbage in [
        "",
        "x",
        "-1",
        "1e300",
        "99999999999999999",
        "9007199254740992",
        "1800000000000000.5",
    ] {
        let mut buckets = Buckets::new([Some(garbage)]);
        assert_eq!(
            buckets.take(NOW, &charge).0.buckets[0].remaining(),
            9,
            "{garbage}"
        );
    }
}

#[test]
fn after_the_clock_was_set_back_the_wait_is_at_most_that_of_an_empty_bucket() {
    let charge = Charge::new(identity(), vec![policy("a", 10, 1000).cost(1).unwrap()]);
    let mut buckets = Buckets::new([Some("1900000000000000")]);
    let (decision, _) = buckets.take(NOW, &charge);
    assert_eq!(decision.retry_after(), micros(1000));
    assert_eq!(
        buckets.text(0),
        Some("1800000000010000"),
        "the denial has corrected the bucket"
    );
    assert!(buckets.admits(NOW + 1000, &charge));
}

#[test]
fn a_reply_of_another_shape_is_an_error() {
    let charge = Charge::new(identity(), vec![policy("a", 1, 1).cost(1).unwrap()]);
    for reply in [&[][..], &[1], &[1, 2, 3], &[1, 2, 3, 4]] {
        assert!(charge.decision(reply).is_err(), "{reply:?}");
    }
}

/// A random bucket and requests to it: each with the microseconds since the one before, and its
/// cost.
fn requests() -> impl Strategy<Value = (u32, u64, Vec<(i64, u32)>)> {
    (1u32..20, 1u64..2000).prop_flat_map(|(burst, interval)| {
        let pause = prop_oneof![3 => Just(0i64), 5 => 0..2000i64, 1 => 0..100_000i64];
        (Just(burst), Just(interval), vec((pause, 1..=burst), 1..120))
    })
}

proptest! {
    #[test]
    fn no_interval_admits_more_than_the_burst_and_the_refill((burst, interval, requests) in requests()) {
        let policy = policy("a", burst, interval);
        let (mut buckets, mut now, mut admitted) = (Buckets::new([None]), NOW, Vec::<(Micros, i64)>::new());
        for (pause, cost) in requests {
            now += pause;
            if !buckets.admits(now, &Charge::new(identity(), vec![policy.cost(cost).unwrap()])) { continue }
            admitted.push((now, cost.into()));
            let mut units = 0;
            for (since, cost) in admitted.iter().rev() {
                units += cost;
                prop_assert!(units <= i64::from(burst) + (now - since) / i64::try_from(interval).unwrap());
            }
        }
    }

    #[test]
    fn a_denied_request_is_admitted_exactly_after_its_retry_after((burst, interval, requests) in requests()) {
        let policy = policy("a", burst, interval);
        let (mut buckets, mut now) = (Buckets::new([None]), NOW);
        for (pause, cost) in requests {
            now += pause;
            let charge = Charge::new(identity(), vec![policy.cost(cost).unwrap()]);
            let (decision, writes) = buckets.take(now, &charge);
            if decision.is_admitted() { continue }
            prop_assert_eq!(&writes, &[Write::Keep]);
            let then = now + i64::try_from(decision.retry_after().as_micros()).unwrap();
            prop_assert!(!Buckets(buckets.0.clone()).admits(then - 1, &charge));
            prop_assert!(Buckets(buckets.0.clone()).admits(then, &charge));
        }
    }

    #[test]
    fn the_remaining_units_grow_exactly_when_announced((burst, interval, requests) in requests()) {
        let policy = policy("a", burst, interval);
        let (mut buckets, mut now) = (Buckets::new([None]), NOW);
        for (pause, cost) in requests {
            now += pause;
            let (decision, _) = buckets.take(now, &Charge::new(identity(), vec![policy.cost(cost).unwrap()]));
            let bucket = decision.buckets[0];
            if bucket.remaining() == burst { continue }
            prop_assert_eq!(bucket.after(bucket.grows_after()).remaining(), bucket.remaining() + 1);
            prop_assert_eq!(bucket.after(bucket.grows_after().saturating_sub(micros(1))).remaining(), bucket.remaining());
        }
    }

    #[test]
    fn a_bucket_is_full_when_its_key_expires(burst in 1u32..20, interval in 1u64..2000, cost in 1u32..20) {
        let charge = Charge::new(identity(), vec![policy("a", burst, interval).cost(cost.min(burst)).unwrap()]);
        let [Write::Put(value, ttl)] = &charge.apply(NOW, &[None]).writes[..] else { panic!() };
        let full_at = whole_number(value).unwrap();
        let expires_at = NOW + i64::try_from(ttl.as_micros()).unwrap();
        prop_assert!((full_at..full_at + 1000).contains(&expires_at));
    }
}
