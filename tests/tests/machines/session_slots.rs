//! How many sessions a user may still open before somebody has to count them.

use proptest::{collection::vec, prelude::*};
use shared::{
    auth::{SLOTS_LUA, TakeSlot},
    ids::UserId,
    kv::{Micros, Step},
};

use crate::comparison::Lua;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Pass(Micros),
    Take,
    Store(Vec<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    let number = (0..=100u32).prop_map(|number| number.to_string().into_bytes());
    let foreign = prop::sample::select(vec![
        "", "00", "01", "-1", "1.5", "1e2", "999", "1000", " 7",
    ]);
    prop_oneof![
        6 => Just(Event::Take),
        1 => number.prop_map(Event::Store),
        1 => foreign.prop_map(|text| Event::Store(text.as_bytes().to_vec())),
        1 => vec(any::<u8>(), 0..5).prop_map(Event::Store),
        1 => (0..200_000_000_000i64).prop_map(Event::Pass),
    ]
}

#[test]
fn lua_and_rust_take_the_same_sessions() {
    let user: UserId = "0193c0de-0000-7000-8000-000000000001".parse().unwrap();
    let slot = TakeSlot::new(user, 20);
    let [key] = slot.keys() else {
        panic!("one key")
    };
    let lua = Lua::load(SLOTS_LUA);
    lua.compare(&vec(event(), 1..60), |comparison, events| {
        for event in events {
            match event {
                Event::Pass(time) => comparison.pass(time),
                Event::Store(value) => comparison.put(key, value),
                Event::Take => {
                    let left = comparison.value(key).map(<[u8]>::to_vec);
                    let reply = comparison.step(&slot);
                    if TakeSlot::was_free(Some(&reply)) {
                        assert_ne!(left, None, "an unknown number is not free");
                    }
                }
            }
        }
    });
}
