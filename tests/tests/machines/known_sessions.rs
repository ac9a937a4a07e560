//! What is known of a user's sessions, and the place of a new one.

use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use shared::{
    auth::{KNOWN_SESSIONS_LUA, KnownSession, OpenSession, Place},
    ids::UserId,
    kv::{Micros, Step},
};

use crate::comparison::{Comparison, Lua};

const MAX: usize = 20;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Pass(Micros),
    Open(u128),
    /// The last one, once more.
    OpenAgain,
    /// So many logins before the sessions are read, so many free, and these sessions.
    Store(usize, usize, Vec<u128>),
    Garbage(String),
}

fn event() -> impl Strategy<Value = Event> {
    // Half of them are refreshed at one of three times.
    let same_time = (any::<u128>(), 0..3u128).prop_map(|(id, time)| id & !0xff | time);
    let id = || prop_oneof![any::<u128>(), same_time.clone()];
    let garbage = prop_oneof![
        "[ -~]{0,60}",
        "[0-9]{0,4} [0-9]{0,4}",
        "[1-9] 0 [0-9a-fA-F]{30,33}:[0-9]{12,14}",
        "r[0-9a-f]{0,32}",
        "[1-9] 0( [0-9a-f]{32}:[0-9]{13}){0,2}[ -~]{0,3}",
    ];
    prop_oneof![
        8 => id().prop_map(Event::Open),
        1 => Just(Event::OpenAgain),
        1 => (0..=100usize, 0..=100usize, vec(id(), 0..4))
            .prop_map(|(left, free, sessions)| Event::Store(left, free, sessions)),
        1 => garbage.prop_map(Event::Garbage),
        1 => (0..200_000_000_000i64).prop_map(Event::Pass),
    ]
}

fn session(id: u128) -> KnownSession {
    let mut hyphenated = format!("{id:032x}");
    for at in [20, 16, 12, 8] {
        hyphenated.insert(at, '-');
    }
    KnownSession {
        id: hyphenated.parse().unwrap(),
        refreshed_at: Timestamp::from_millisecond(
            1_800_000_000_000 + i64::from(id.to_le_bytes()[0]),
        )
        .unwrap(),
    }
}

fn stored(left: usize, free: usize, sessions: &[u128]) -> String {
    let sessions = sessions.iter().map(|id| {
        let at = session(*id).refreshed_at.as_millisecond();
        format!(" {id:032x}:{at}")
    });
    format!("{left} {free}{}", sessions.collect::<String>())
}

fn opening(id: u128) -> OpenSession {
    let user: UserId = "0193c0de-0000-7000-8000-000000000001".parse().unwrap();
    OpenSession::new(user, session(id), MAX)
}

#[test]
fn lua_and_rust_find_the_same_places() {
    let lua = Lua::load(KNOWN_SESSIONS_LUA);
    let [key] = &opening(0).keys().to_vec()[..] else {
        panic!("one key");
    };
    lua.compare(&vec(event(), 1..60), |comparison, events| {
        let mut last = 0;
        for event in events {
            match event {
                Event::Pass(time) => comparison.pass(time),
                Event::Open(id) => {
                    last = id;
                    comparison.step(&opening(id));
                }
                Event::OpenAgain => drop(comparison.step(&opening(last))),
                Event::Store(left, free, sessions) => {
                    comparison.put(key, stored(left, free, &sessions).into_bytes());
                }
                Event::Garbage(text) => comparison.put(key, text.into_bytes()),
            }
        }
    });
}

#[test]
fn free_places_are_taken_first_then_those_of_the_sessions_at_the_front() {
    let lua = Lua::load(KNOWN_SESSIONS_LUA);
    let outcome = lua.compare_one(|comparison| {
        let open = |comparison: &mut Comparison, id| {
            OpenSession::place(Some(&comparison.step(&opening(id))))
        };
        let key = opening(0).keys()[0].clone();
        assert_eq!(open(comparison, 1), Place::Unknown);
        let large = !0xff | 9;
        comparison.put(&key, stored(5, 2, &[7, large]).into_bytes());
        let places = [11, 12, 13, 14, 15, 16].map(|id| open(comparison, id));
        let expected = [
            Place::Free,
            Place::Free,
            Place::Of(session(7)),
            Place::Of(session(large)),
            Place::Of(session(11)),
            // As many logins as were allowed without a look.
            Place::Unknown,
        ];
        assert_eq!(places, expected);
    });
    outcome.unwrap();
}

/// Its first reply, which was lost, named the session that has to end.
#[test]
fn a_session_that_has_a_place_already_has_the_sessions_read() {
    let lua = Lua::load(KNOWN_SESSIONS_LUA);
    let outcome = lua.compare_one(|comparison| {
        let key = opening(0).keys()[0].clone();
        comparison.put(&key, stored(9, 0, &[4, 5]).into_bytes());
        let mut open = |id| OpenSession::place(Some(&comparison.step(&opening(id))));
        assert_eq!(open(7), Place::Of(session(4)));
        assert_eq!(open(7), Place::Unknown);
    });
    outcome.unwrap();
}

/// As logins that read all sessions order them, whichever arrives first.
#[test]
fn of_sessions_refreshed_at_the_same_time_the_one_with_the_smallest_id_is_first() {
    let lua = Lua::load(KNOWN_SESSIONS_LUA);
    let outcome = lua.compare_one(|comparison| {
        let at_once = |id: u128| id << 64 | 5;
        let key = opening(0).keys()[0].clone();
        comparison.put(&key, stored(9, 3, &[4]).into_bytes());
        let mut open = |id| OpenSession::place(Some(&comparison.step(&opening(at_once(id)))));
        assert_eq!([3, 1, 2].map(&mut open), [Place::Free; 3]);
        let first = [session(4), session(at_once(1)), session(at_once(2))];
        assert_eq!([4, 5, 6].map(&mut open), first.map(Place::Of));
    });
    outcome.unwrap();
}

#[test]
fn of_several_logins_that_read_the_sessions_none_may_store_them() {
    let lua = Lua::load(KNOWN_SESSIONS_LUA);
    let outcome = lua.compare_one(|comparison| {
        let key = opening(0).keys()[0].clone();
        let mut read = |id| {
            let reply = comparison.step(&opening(id));
            assert_eq!(OpenSession::place(Some(&reply)), Place::Unknown);
            String::from_utf8(comparison.value(&key).unwrap().to_vec()).unwrap()
        };
        assert_eq!(read(1), format!("r{:032x}", 1), "the only one");
        assert_eq!([read(2), read(3)], ["r", "r"]);
    });
    outcome.unwrap();
}
