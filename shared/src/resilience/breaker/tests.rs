use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{rules::Rules, state::BreakerRecord, *};
use crate::{
    config::BreakerSettings,
    kv::{Micros, Step, Write},
};

const START: Micros = 1_800_000_000_000_000;
const SECOND: Micros = 1_000_000;

fn settings() -> BreakerSettings {
    BreakerSettings {
        lease: Duration::from_secs(10),
        ..BreakerSettings::default()
    }
}

/// Instances that share one breaker, and its stored text.
struct Fleet {
    now: Micros,
    stored: Option<(Bytes, Micros)>,
    instances: Vec<Breaker>,
}

impl Fleet {
    fn new(instances: usize, settings: &BreakerSettings) -> Self {
        let random = Random::seeded(7);
        let breaker = |_| {
            Breaker::new(
                "wechat",
                settings,
                InstanceId::draw(&random),
                random.clone(),
            )
            .unwrap()
        };
        Self {
            now: START,
            stored: None,
            instances: (0..instances).map(breaker).collect(),
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        self.stored
            .take_if(|(_, expires_at)| *expires_at <= self.now);
    }

    /// Runs a step; returns the reply, and whether anything was written.
    fn step(&mut self, step: &BreakerStep) -> (BreakerReply, bool) {
        let value = self.stored.as_ref().map(|(value, _)| value.clone());
        let applied = step.apply(self.now, &[value]);
        let [write] = &applied.writes[..] else {
            panic!()
        };
        if let Write::Put(value, ttl) = write {
            self.stored = Some((
                value.clone(),
                self.now + i64::try_from(ttl.as_micros()).unwrap(),
            ));
        }
        (
            BreakerReply::read(&applied.reply).unwrap(),
            *write != Write::Keep,
        )
    }

    fn check(&mut self) -> BreakerReply {
        self.step(&self.instances[0].check(Outcomes::default())).0
    }

    fn report(&mut self, instance: usize, outcomes: Outcomes) -> BreakerReply {
        self.step(&self.instances[instance].report(outcomes, None))
            .0
    }

    fn acquire(&mut self, instance: usize, token: i64) -> BreakerReply {
        self.step(&self.instances[instance].acquire(ProbeToken(token), Outcomes::default()))
            .0
    }

    fn end_probe(&mut self, instance: usize, token: i64, outcomes: Outcomes) -> BreakerReply {
        self.step(&self.instances[instance].report(outcomes, Some(ProbeToken(token))))
            .0
    }

    /// Opens it for the first time; returns for how long.
    fn open(&mut self) -> Duration {
        let generation = self.check().generation;
        self.report(
            0,
            Outcomes {
                generation,
                failed: 10,
                ..Outcomes::default()
            },
        );
        let reply = self.report(
            1,
            Outcomes {
                generation,
                failed: 10,
                ..Outcomes::default()
            },
        );
        assert_eq!(reply.transition, Some(Transition::Opened));
        let BreakerStatus::Open { retry_after } = reply.status else {
            panic!("{reply:?}")
        };
        retry_after
    }

    /// Waits until it is half-open; returns the generation.
    fn half_open(&mut self) -> Generation {
        if let BreakerStatus::Open { retry_after } = self.check().status {
            self.now += i64::try_from(retry_after.as_micros()).unwrap();
        }
        let reply = self.check();
        assert_eq!(reply.status, BreakerStatus::HalfOpen(Probe::Free));
        reply.generation
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.stored.as_ref().unwrap().0).unwrap()
    }
}

fn fleet() -> Fleet {
    Fleet::new(3, &settings())
}

fn good(generation: Generation) -> Outcomes {
    Outcomes {
        generation,
        good: 1,
        ..Outcomes::default()
    }
}

fn bad(generation: Generation) -> Outcomes {
    Outcomes {
        generation,
        failed: 1,
        ..Outcomes::default()
    }
}

/// Seconds, with up to a fifth of jitter on top.
fn about(seconds: u64) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(seconds)..=Duration::from_millis(seconds * 1200)
}

#[test]
fn a_cold_start_writes_nothing() {
    let mut fleet = fleet();
    let (reply, wrote) = fleet.step(&fleet.instances[0].check(Outcomes::default()));
    assert_eq!(
        reply,
        BreakerReply {
            generation: Generation(0),
            status: BreakerStatus::Closed,
            transition: None
        }
    );
    assert!(!wrote);
}

#[test]
fn the_stored_text_is_numbers_separated_by_spaces() {
    let mut fleet = Fleet {
        instances: vec![],
        ..fleet()
    };
    let breaker = Breaker::new("wechat", &settings(), InstanceId(42), Random::seeded(1)).unwrap();
    fleet.step(&breaker.report(
        Outcomes {
            good: 3,
            slow: 1,
            failed: 2,
            ..Outcomes::default()
        },
        None,
    ));
    let empty = " 0 0 0".repeat(9);
    assert_eq!(
        fleet.text(),
        format!("1 0 0 0 0 0 0 1800000000 6 2 1{empty} 42 1800000000")
    );
    assert_eq!(
        BreakerRecord::parse(Some(fleet.text().as_bytes())).print(),
        fleet.text()
    );
}

#[test]
fn half_of_twenty_calls_bad_on_two_instances_opens_it() {
    let mut fleet = fleet();
    fleet.report(
        0,
        Outcomes {
            good: 10,
            failed: 5,
            ..Outcomes::default()
        },
    );
    let reply = fleet.report(
        1,
        Outcomes {
            slow: 4,
            ..Outcomes::default()
        },
    );
    assert_eq!(reply.status, BreakerStatus::Closed, "19 calls");
    let reply = fleet.report(
        1,
        Outcomes {
            slow: 1,
            ..Outcomes::default()
        },
    );
    assert_eq!(
        (reply.generation, reply.transition),
        (Generation(1), Some(Transition::Opened))
    );
    assert!(
        matches!(reply.status, BreakerStatus::Open { retry_after } if about(5).contains(&retry_after))
    );
}

#[test]
fn one_failing_instance_does_not_open_it() {
    let mut fleet = fleet();
    let reply = fleet.report(
        0,
        Outcomes {
            failed: 1000,
            ..Outcomes::default()
        },
    );
    assert_eq!(reply.status, BreakerStatus::Closed);
}

#[test]
fn a_single_instance_opens_its_own_breaker_with_a_quorum_of_one() {
    let mut fleet = Fleet::new(
        1,
        &BreakerSettings {
            quorum: 1,
            ..settings()
        },
    );
    let reply = fleet.report(
        0,
        Outcomes {
            failed: 20,
            ..Outcomes::default()
        },
    );
    assert!(matches!(reply.status, BreakerStatus::Open { .. }));
}

#[test]
fn calls_count_for_ten_seconds() {
    for (seconds, opens) in [(9, true), (10, false)] {
        let mut fleet = fleet();
        fleet.report(
            0,
            Outcomes {
                failed: 19,
                ..Outcomes::default()
            },
        );
        fleet.pass(seconds);
        let reply = fleet.report(1, bad(Generation(0)));
        assert_eq!(
            reply.status != BreakerStatus::Closed,
            opens,
            "after {seconds} s"
        );
    }
}

#[test]
fn the_open_time_doubles_up_to_its_maximum() {
    let mut fleet = fleet();
    assert!(about(5).contains(&fleet.open()));
    for seconds in [10, 20, 40, 60, 60] {
        let generation = fleet.half_open();
        fleet.acquire(0, 1);
        let reply = fleet.end_probe(0, 1, bad(generation));
        assert_eq!(reply.transition, Some(Transition::Reopened));
        let BreakerStatus::Open { retry_after } = reply.status else {
            panic!("{reply:?}")
        };
        assert!(
            about(seconds).contains(&retry_after),
            "{retry_after:?} for {seconds}"
        );
    }
}

#[test]
fn a_good_probe_closes_it() {
    let mut fleet = fleet();
    fleet.open();
    let generation = fleet.half_open();
    assert_eq!(
        fleet.acquire(2, 1).status,
        BreakerStatus::HalfOpen(Probe::Yours(Duration::from_secs(10)))
    );
    let reply = fleet.end_probe(2, 1, good(generation));
    assert_eq!(
        (reply.status, reply.transition),
        (BreakerStatus::Closed, Some(Transition::Recovered))
    );
    assert!(reply.generation > generation);
}

#[test]
fn the_open_time_starts_over_after_being_closed_for_the_longest_open_time() {
    for (pause, seconds) in [(59, 10), (61, 5)] {
        let mut fleet = fleet();
        fleet.open();
        let generation = fleet.half_open();
        fleet.acquire(0, 1);
        fleet.end_probe(0, 1, good(generation));
        fleet.pass(pause);
        assert!(about(seconds).contains(&fleet.open()), "after {pause} s");
    }
}

#[test]
fn a_lost_probe_delays_the_next_one_no_longer_than_its_lease() {
    let mut fleet = fleet();
    fleet.open();
    fleet.half_open();
    fleet.acquire(0, 1);
    fleet.pass(9);
    assert_eq!(
        fleet.acquire(1, 2).status,
        BreakerStatus::HalfOpen(Probe::Taken(Duration::from_secs(1)))
    );
    fleet.pass(1);
    assert_eq!(
        fleet.acquire(1, 2).status,
        BreakerStatus::HalfOpen(Probe::Yours(Duration::from_secs(10)))
    );
}

#[test]
fn acquiring_the_probe_again_after_a_lost_reply_succeeds() {
    let mut fleet = fleet();
    fleet.open();
    fleet.half_open();
    fleet.acquire(0, 1);
    fleet.pass(3);
    assert_eq!(
        fleet.acquire(0, 1).status,
        BreakerStatus::HalfOpen(Probe::Yours(Duration::from_secs(7)))
    );
}

#[test]
fn a_probe_without_an_outcome_returns_its_lease() {
    let mut fleet = fleet();
    fleet.open();
    let generation = fleet.half_open();
    fleet.acquire(0, 1);
    let reply = fleet.end_probe(
        0,
        1,
        Outcomes {
            generation,
            ..Outcomes::default()
        },
    );
    assert_eq!(reply.status, BreakerStatus::HalfOpen(Probe::Free));
}

#[test]
fn a_late_report_changes_nothing() {
    let mut fleet = fleet();
    fleet.open();
    let generation = fleet.half_open();
    fleet.acquire(0, 1);
    fleet.pass(10);
    fleet.acquire(1, 2);
    let unchanged = |fleet: &mut Fleet, instance: usize, outcomes: Outcomes, token: Option<i64>| {
        let before = fleet.stored.clone();
        let step = fleet.instances[instance].report(outcomes, token.map(ProbeToken));
        assert!(!fleet.step(&step).1, "{step:?}");
        assert_eq!(fleet.stored, before);
    };
    // From a prober that has lost its lease; from a call that began while the breaker was closed;
    // with the probe's token, but from another generation.
    unchanged(&mut fleet, 0, good(generation), Some(1));
    unchanged(&mut fleet, 0, bad(Generation(0)), None);
    unchanged(&mut fleet, 1, bad(Generation(0)), Some(2));
    let closed = fleet.end_probe(1, 2, good(generation)).generation;
    // From the same probe again, and from calls before the breaker opened.
    unchanged(&mut fleet, 1, bad(generation), Some(2));
    unchanged(&mut fleet, 0, bad(Generation(0)), None);
    assert!(
        fleet.step(&fleet.instances[0].report(bad(closed), None)).1,
        "while a report in time counts"
    );
}

#[test]
fn a_forced_state_lasts_until_its_time_is_over() {
    let mut fleet = fleet();
    fleet.step(&fleet.instances[0].force(Force::Open(Duration::from_mins(1))));
    fleet.pass(30);
    assert_eq!(
        fleet.check().status,
        BreakerStatus::Open {
            retry_after: Duration::from_secs(30)
        }
    );
    assert_eq!(
        Snapshot::read(Some(fleet.text().as_bytes())).forced_open,
        Some(true)
    );
    fleet.pass(30);
    assert_eq!(fleet.check().status, BreakerStatus::Closed);
}

#[test]
fn failures_do_not_open_a_breaker_that_is_forced_closed() {
    let mut fleet = fleet();
    let (reply, _) = fleet.step(&fleet.instances[0].force(Force::Closed(Duration::from_mins(1))));
    for instance in 0..3 {
        fleet.report(
            instance,
            Outcomes {
                generation: reply.generation,
                failed: 100,
                ..Outcomes::default()
            },
        );
    }
    assert_eq!(fleet.check().status, BreakerStatus::Closed);
}

#[test]
fn a_reset_closes_it_and_clears_its_history() {
    let mut fleet = fleet();
    fleet.open();
    let (reply, _) = fleet.step(&fleet.instances[0].force(Force::Reset));
    assert_eq!(
        (reply.status, reply.generation),
        (BreakerStatus::Closed, Generation(2))
    );
    assert!(about(5).contains(&fleet.open()));
}

#[test]
fn an_invalid_record_counts_as_closed() {
    let mut fleet = fleet();
    fleet.open();
    let text = fleet.text().to_owned();
    let of_another_version = format!("2{}", &text[1..]);
    let too_long = format!("{text}{}", " ".repeat(1024));
    for garbage in [
        "",
        "x",
        "1",
        &text[..20],
        &of_another_version,
        &too_long,
        &format!("{text} 7"),
        &format!("{text}x"),
    ] {
        fleet.stored = Some((Bytes::copy_from_slice(garbage.as_bytes()), Micros::MAX));
        assert_eq!(fleet.check().status, BreakerStatus::Closed, "{garbage}");
    }
}

#[test]
fn no_state_lasts_forever_after_the_clock_was_set_back() {
    let mut fleet = fleet();
    fleet.open();
    fleet.now -= 24 * 3600 * SECOND;
    assert_eq!(fleet.check().status, BreakerStatus::HalfOpen(Probe::Free));
    let mut fleet = self::fleet();
    fleet.report(
        0,
        Outcomes {
            failed: 19,
            ..Outcomes::default()
        },
    );
    fleet.now -= 24 * 3600 * SECOND;
    assert_eq!(
        fleet.report(1, bad(Generation(0))).status,
        BreakerStatus::Closed,
        "the old window is gone"
    );
    fleet.now -= 9 * SECOND;
    let reply = fleet.report(
        2,
        Outcomes {
            failed: 19,
            ..Outcomes::default()
        },
    );
    assert_eq!(
        reply.transition,
        Some(Transition::Opened),
        "setting the clock back a little loses nothing"
    );
}

#[test]
fn a_snapshot_shows_the_window() {
    let mut fleet = fleet();
    assert_eq!(Snapshot::read(None), Snapshot::default());
    fleet.report(
        0,
        Outcomes {
            good: 3,
            failed: 2,
            ..Outcomes::default()
        },
    );
    fleet.pass(1);
    fleet.report(
        1,
        Outcomes {
            slow: 1,
            ..Outcomes::default()
        },
    );
    let expected = Snapshot {
        calls: 6,
        failed: 2,
        slow: 1,
        failing_instances: 2,
        ..Snapshot::default()
    };
    assert_eq!(Snapshot::read(Some(fleet.text().as_bytes())), expected);
}

#[test]
fn a_reply_of_another_shape_is_an_error() {
    for reply in [
        &[][..],
        &[0, 0, 0],
        &[5, 0, 0, 0],
        &[0, 0, 0, 4],
        &[1, 0, -1, 0],
        &[0, 0, 0, 0, 0],
    ] {
        assert!(BreakerReply::read(reply).is_err(), "{reply:?}");
    }
}

/// What one of five instances does next, after some milliseconds.
#[derive(Debug, Clone)]
enum Act {
    Calls { good: u32, slow: u32, failed: u32 },
    Probe,
    EndProbe { good: bool },
}

fn acts() -> impl Strategy<Value = Vec<(i64, usize, Act)>> {
    let act = prop_oneof![
        3 => (0..4u32, 0..2u32, 0..6u32).prop_map(|(good, slow, failed)| Act::Calls { good, slow, failed }),
        3 => Just(Act::Probe),
        2 => any::<bool>().prop_map(|good| Act::EndProbe { good }),
    ];
    let pause = prop_oneof![6 => 0..500i64, 2 => 0..20_000i64, 1 => Just(10_000)];
    vec((pause, 0..5usize, act), 1..150)
}

proptest! {
    #[test]
    fn there_is_one_prober_at_a_time_and_open_times_stay_within_bounds(acts in acts()) {
        let settings = settings();
        let mut fleet = Fleet::new(5, &settings);
        let (mut holder, mut token) = (None::<(i64, usize, Micros)>, 0);
        for (pause, by, act) in acts {
            fleet.now += pause * 1000;
            let generation = fleet.check().generation;
            let reply = match act {
                Act::Calls { good, slow, failed } => fleet.report(by, Outcomes { generation, good, slow, failed }),
                Act::Probe => {
                    token += 1;
                    let reply = fleet.acquire(by, token);
                    if let BreakerStatus::HalfOpen(Probe::Yours(_)) = reply.status {
                        let lease = Micros::try_from(settings.lease.as_micros()).unwrap();
                        prop_assert!(holder.is_none_or(|(.., until)| until <= fleet.now), "two probers");
                        holder = Some((token, by, fleet.now + lease));
                    }
                    reply
                }
                Act::EndProbe { good: is_good } => {
                    let Some((token, by, _)) = holder.take() else { continue };
                    fleet.end_probe(by, token, if is_good { good(generation) } else { bad(generation) })
                }
            };
            if let (BreakerStatus::Open { retry_after }, Some(_)) = (reply.status, reply.transition) {
                prop_assert!(retry_after >= settings.open_min && retry_after <= settings.open_max * 6 / 5);
                holder = None;
            }
        }
    }

    #[test]
    fn it_opens_exactly_when_the_last_ten_seconds_were_bad_enough(
        calls in vec((0..2000i64, 0..4usize, 0..4u32, 0..3u32, 0..4u32), 1..60),
    ) {
        let mut fleet = Fleet::new(4, &settings());
        let mut log: Vec<(i64, usize, u32, u32)> = vec![];
        for (pause, by, good, slow, failed) in calls {
            fleet.now += pause * 1000;
            let second = fleet.now / SECOND;
            let reply = fleet.report(by, Outcomes { good, slow, failed, ..Outcomes::default() });
            log.push((second, by, good + slow + failed, slow + failed));
            log.retain(|(then, ..)| second - then < 10);
            let total: u32 = log.iter().map(|(_, _, total, _)| total).sum();
            let bad: u32 = log.iter().map(|(.., bad)| bad).sum();
            let failing = (0..4).filter(|one| log.iter().any(|(_, by, _, bad)| by == one && *bad > 0)).count();
            let trips = total >= 20 && bad * 2 >= total && failing >= 2 && good + slow + failed > 0;
            prop_assert_eq!(reply.status != BreakerStatus::Closed, trips);
            if trips { break }
        }
    }

    #[test]
    fn any_text_is_parsed_without_a_panic_and_survives_a_round_trip(text in "[0-9 ]{0,200}|1 [0-3]( [0-9]{1,4}){36,60}") {
        let rules = Rules::new("wechat", &settings()).unwrap();
        let state = BreakerRecord::parse(Some(text.as_bytes()));
        prop_assert_eq!(BreakerRecord::parse(Some(state.print().as_bytes())), state.clone());
        state.status(START, &rules, 0);
    }
}
