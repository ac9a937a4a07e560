//! The breaker.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use e2e::{PATIENCE, redis_server::RedisServer};
use proptest::{collection::vec, prelude::*};
use shared::{
    clock::Clock,
    config::BreakerSettings,
    kv::{Delivery, Kv, MemoryStore, Micros, RedisStore, Step},
    random::Random,
    resilience::breaker::{
        Breaker, BreakerReply, BreakerStatus, BreakerStep, Force, Generation, InstanceId, LUA,
        Outcomes, Probe, ProbeToken,
    },
};

use crate::comparison::{Comparison, Lua};

const INSTANCES: usize = 12;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Pass(Micros),
    /// The wait that the last reply gave, plus this much.
    Wait(Micros),
    /// An instance checks, acquires or reports.
    Call(usize, Call, [u32; 3], Began),
    /// The last step again: its reply was lost.
    Again,
    Force(Force),
    Garbage(Vec<u8>),
    /// Replaces one number of the stored value.
    Corrupt(usize, String),
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Check,
    Acquire,
    Report,
    /// The instance that got the probe last reports its outcome.
    Probed,
    /// With another instance's token.
    Impostor,
}

/// The generation in which the calls began.
#[derive(Debug, Clone, Copy)]
enum Began {
    /// The one of the last reply to any instance.
    Now,
    /// The one of the last reply to this instance.
    Known,
    /// One that never existed.
    Never,
}

fn event() -> impl Strategy<Value = Event> {
    let call = prop_oneof![
        2 => Just(Call::Check),
        4 => Just(Call::Acquire),
        3 => Just(Call::Report),
        6 => Just(Call::Probed),
        1 => Just(Call::Impostor),
    ];
    let count = || prop_oneof![3 => Just(0u32), 3 => 1..5u32, 1 => Just(u32::MAX)];
    let calls =
        prop_oneof![3 => [count(), count(), count()], 2 => count().prop_map(|good| [good, 0, 0])];
    let began =
        prop_oneof![6 => Just(Began::Now), 3 => Just(Began::Known), 1 => Just(Began::Never)];
    let time = prop_oneof![
        Just(1i64),
        0..1_000_000i64,
        Just(1_000_000),
        Just(10_000_000),
        Just(10_000_001),
        Just(11_000_000),
        0..100_000_000i64,
        Just(86_400_000_000),
    ];
    let force = prop_oneof![
        (0u64..20).prop_map(|seconds| Force::Open(Duration::from_secs(seconds))),
        (0u64..20).prop_map(|seconds| Force::Closed(Duration::from_secs(seconds))),
        Just(Force::Open(Duration::MAX)),
        Just(Force::Reset),
    ];
    let number = prop_oneof![
        4 => prop_oneof![0..20i64, Just(1_000_000_001), Just(1 << 52), Just((1 << 52) + 1), any::<i64>()]
            .prop_map(|number| number.to_string()),
        1 => prop::sample::select(vec![String::new(), "x".into(), "00000000000000001".into(), " ".repeat(1000), "7 ".repeat(18)]),
    ];
    prop_oneof![
        30 => (0..INSTANCES, call, calls, began).prop_map(|(who, call, calls, began)| Event::Call(who, call, calls, began)),
        2 => Just(Event::Again),
        5 => time.clone().prop_map(Event::Pass),
        2 => time.prop_map(|time| Event::Pass(-time)),
        10 => prop::sample::select(vec![-1i64, 0, 0, 1]).prop_map(Event::Wait),
        1 => force.prop_map(Event::Force),
        2 => (0..60usize, number).prop_map(|(at, number)| Event::Corrupt(at, number)),
        1 => prop_oneof![vec(any::<u8>(), 0..60), "[0-9 ]{0,120}".prop_map(Vec::from)].prop_map(Event::Garbage),
    ]
}

fn settings() -> impl Strategy<Value = BreakerSettings> {
    let times = (1u64..10_000_000, 1u64..100_000_000, 1u64..20_000_000);
    let min_calls = prop_oneof![3 => 1u32..12, 1 => 12..100u32];
    (min_calls, 1u32..=100, 1u32..=8, times).prop_map(
        |(min_calls, ratio_percent, quorum, (min, more, lease))| {
            let [open_min, open_max, lease] = [min, min + more, lease].map(Duration::from_micros);
            BreakerSettings {
                min_calls,
                ratio_percent,
                quorum: quorum.div_ceil(3),
                open_min,
                open_max,
                lease,
                ..BreakerSettings::default()
            }
        },
    )
}

/// An instance: its breaker, probe token and last known generation.
struct Instance {
    breaker: Breaker,
    token: ProbeToken,
    known: Generation,
}

fn fleet(settings: &BreakerSettings, random: &Random) -> Vec<Instance> {
    let instance = |_| {
        let breaker =
            Breaker::new("wechat", settings, InstanceId::draw(random), random.clone()).unwrap();
        Instance {
            breaker,
            token: ProbeToken::draw(random),
            known: Generation::default(),
        }
    };
    (0..INSTANCES).map(instance).collect()
}

struct Play<'a> {
    comparison: &'a mut Comparison,
    fleet: Vec<Instance>,
    random: Random,
    /// The instance that got the probe last.
    prober: usize,
    last: Option<BreakerStep>,
    reply: Option<BreakerReply>,
    seen: &'a RefCell<BTreeMap<String, u32>>,
}

impl Play<'_> {
    fn event(&mut self, event: Event) {
        match event {
            Event::Pass(time) => self.comparison.pass(time),
            Event::Wait(more) => self.comparison.pass(self.wait() + more),
            Event::Call(who, call, calls, began) => self.call(who, call, calls, began),
            Event::Again => {
                if let Some(step) = self.last.clone() {
                    self.step(step);
                }
            }
            Event::Force(force) => self.step(self.fleet[0].breaker.force(force)),
            Event::Garbage(value) => self.comparison.put(&self.key(), value),
            Event::Corrupt(at, number) => self.corrupt(at, &number),
        }
    }

    fn key(&self) -> String {
        self.fleet[0].breaker.key().to_owned()
    }

    fn wait(&self) -> Micros {
        let time = match self.reply.map(|reply| reply.status) {
            Some(
                BreakerStatus::Open { retry_after: time }
                | BreakerStatus::HalfOpen(Probe::Taken(time) | Probe::Yours(time)),
            ) => time,
            Some(BreakerStatus::Closed | BreakerStatus::HalfOpen(Probe::Free)) | None => {
                Duration::ZERO
            }
        };
        i64::try_from(time.as_micros()).unwrap()
    }

    fn call(&mut self, who: usize, call: Call, [good, slow, failed]: [u32; 3], began: Began) {
        let generation = match began {
            Began::Now => self
                .reply
                .map_or(Generation::default(), |reply| reply.generation),
            Began::Known => self.fleet[who].known,
            Began::Never => BreakerReply::read(&[0, 77_777, 0, 0]).unwrap().generation,
        };
        let outcomes = Outcomes {
            generation,
            good,
            slow,
            failed,
        };
        let who = if matches!(call, Call::Probed) {
            self.prober
        } else {
            who
        };
        if matches!(call, Call::Acquire) {
            self.fleet[who].token = ProbeToken::draw(&self.random);
        }
        let Instance { breaker, token, .. } = &self.fleet[who];
        let step = match call {
            Call::Check => breaker.check(outcomes),
            Call::Acquire => breaker.acquire(*token, outcomes),
            Call::Report => breaker.report(outcomes, None),
            Call::Probed => breaker.report(outcomes, Some(*token)),
            Call::Impostor => {
                breaker.report(outcomes, Some(self.fleet[(who + 1) % INSTANCES].token))
            }
        };
        self.step(step);
        let reply = self.reply.unwrap();
        self.fleet[who].known = reply.generation;
        if matches!(reply.status, BreakerStatus::HalfOpen(Probe::Yours(_))) {
            self.prober = who;
        }
    }

    fn step(&mut self, step: BreakerStep) {
        let numbers = self.comparison.step(&step);
        let reply = BreakerReply::read(&numbers).unwrap();
        let mut seen = self.seen.borrow_mut();
        *seen.entry(format!("status {}", numbers[0])).or_default() += 1;
        *seen.entry(format!("{:?}", reply.transition)).or_default() += 1;
        self.reply = Some(reply);
        self.last = Some(step);
    }

    fn corrupt(&mut self, at: usize, number: &str) {
        let key = self.key();
        let Some(text) = self
            .comparison
            .value(&key)
            .and_then(|value| str::from_utf8(value).ok())
        else {
            return;
        };
        let mut words: Vec<&str> = text.split(' ').collect();
        let at = at % (words.len() + 1);
        if at < words.len() {
            words[at] = number;
        } else {
            words.push(number);
        }
        let text = words.join(" ").into_bytes();
        self.comparison.put(&key, text);
    }
}

#[test]
fn the_breaker_agrees_in_rust_and_lua() {
    let lua = Lua::load(LUA);
    let seen = RefCell::default();
    let histories = (settings(), any::<u64>(), vec(event(), 1..150));
    lua.compare(&histories, |comparison, (settings, seed, events)| {
        let random = Random::seeded(seed);
        let fleet = fleet(&settings, &random);
        let mut play = Play {
            comparison,
            fleet,
            random,
            prober: 0,
            last: None,
            reply: None,
            seen: &seen,
        };
        for event in events {
            play.event(event);
        }
    });
    let seen = seen.into_inner();
    let all = ["Some(Opened)", "Some(Reopened)", "Some(Recovered)"].map(str::to_owned);
    for what in all
        .into_iter()
        .chain((0..5).map(|status| format!("status {status}")))
    {
        assert!(
            seen.get(&what).is_some_and(|count| *count > 40),
            "{what} was seen too rarely: {seen:?}"
        );
    }
}

/// The stored texts of a closed breaker and of one whose probe is leased to `token`, each followed
/// by `failing`.
fn texts(now: Micros, token: i64, failing: &str) -> [String; 2] {
    let (second, ago, soon) = (now / 1_000_000, now - 1, now + 1);
    let counts = " 5 2 1".repeat(10);
    [
        format!("1 0 7 1 {ago} 0 0 {second}{counts}{failing}"),
        format!("1 1 7 1 {ago} {token} {soon} 0{counts}{failing}"),
    ]
}

/// Variants of the text: each word in turn at and beyond its limits, and with trailing text.
fn edges(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let limits = [
        0,
        1,
        3,
        4,
        16,
        17,
        1_000_000_000,
        1_000_000_001,
        1 << 52,
        (1 << 52) + 1,
        (1 << 53) - 1,
        1i64 << 53,
    ];
    let mut edges: Vec<String> = ["", " ", " 7", " 7 7", " 7 7 7 7", "x", "\0"]
        .map(|tail| format!("{text}{tail}"))
        .into();
    edges.extend([1024, 1025].map(|length| format!("{text:length$}")));
    for at in 0..words.len() {
        edges.extend(limits.iter().map(|limit| {
            let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            words[at] = limit.to_string();
            words.join(" ")
        }));
    }
    edges
}

#[test]
fn the_limits_of_stored_values_agree() {
    let random = Random::seeded(1);
    let fleet = fleet(
        &BreakerSettings {
            min_calls: 100,
            ..BreakerSettings::default()
        },
        &random,
    );
    let Instance { breaker, token, .. } = &fleet[0];
    let generation = BreakerReply::read(&[0, 7, 0, 0]).unwrap().generation;
    let [good, bad] = [(1, 0), (0, 1)].map(|(good, failed)| Outcomes {
        generation,
        good,
        failed,
        slow: 0,
    });
    let steps = [
        breaker.check(good),
        breaker.report(bad, None),
        breaker.report(bad, Some(*token)),
        breaker.acquire(*token, Outcomes::default()),
    ];
    let token = steps[3].arguments()[7];
    Lua::load(LUA)
        .compare_one(|comparison| {
            let second = comparison.now / 1_000_000;
            for failing in [1, 7, 8] {
                let failing: Vec<_> = (0..failing).map(|one| format!(" {one} {second}")).collect();
                let texts = texts(comparison.now, token, &failing.concat());
                for text in texts.iter().flat_map(|text| edges(text)) {
                    for step in &steps {
                        comparison.put(breaker.key(), text.clone().into_bytes());
                        comparison.step(step);
                    }
                }
            }
        })
        .unwrap();
}

#[tokio::test]
async fn a_breaker_opened_by_some_instances_is_open_for_all() {
    let server = RedisServer::start().await;
    let redis = Kv::Redis(RedisStore::with_budget(&server.url().into(), PATIENCE));
    for kv in [redis, Kv::Memory(MemoryStore::new(Clock::System))] {
        let fleet = fleet(&BreakerSettings::default(), &Random::System);
        for Instance { breaker, .. } in &fleet[..2] {
            kv.step(
                &breaker.report(
                    Outcomes {
                        failed: 10,
                        ..Outcomes::default()
                    },
                    None,
                ),
                Delivery::BestEffort,
            )
            .await
            .unwrap();
        }
        let reply = kv
            .step(
                &fleet[2].breaker.check(Outcomes::default()),
                Delivery::BestEffort,
            )
            .await
            .unwrap();
        let BreakerStatus::Open { retry_after } = BreakerReply::read(&reply).unwrap().status else {
            panic!("{reply:?}")
        };
        assert!(
            retry_after > Duration::from_secs(1) && retry_after <= Duration::from_secs(6),
            "{retry_after:?}"
        );
    }
}

#[test]
fn the_step_names_its_key() {
    let random = Random::seeded(1);
    let [instance, ..] = &fleet(&BreakerSettings::default(), &random)[..] else {
        panic!()
    };
    assert_eq!(
        instance.breaker.check(Outcomes::default()).keys(),
        ["{brk:wechat}"]
    );
}
