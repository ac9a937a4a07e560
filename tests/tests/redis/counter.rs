//! The smallest possible step: a counter.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use shared::kv::{Applied, Micros, Script, Step, Write};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local count = tonumber(redis.call('GET', KEYS[1]) or 0) + ARGV[1] \
         redis.call('SET', KEYS[1], count, 'PX', 60000) return {count}",
    )
});

/// Adds to a number and returns the sum.
pub struct Count {
    keys: [String; 1],
    by: i64,
}

impl Count {
    pub fn new(key: &str, by: i64) -> Self {
        Self {
            keys: [key.to_owned()],
            by,
        }
    }
}

impl Step for Count {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn keys(&self) -> &[String] {
        &self.keys
    }

    fn arguments(&self) -> Vec<i64> {
        vec![self.by]
    }

    fn apply(&self, _: Micros, values: &[Option<Bytes>]) -> Applied {
        let number = |value: &Bytes| std::str::from_utf8(value).unwrap().parse::<i64>().unwrap();
        let count = values[0].as_ref().map_or(0, number) + self.by;
        Applied {
            writes: vec![Write::Put(count.to_string().into(), Duration::from_mins(1))],
            reply: vec![count],
        }
    }
}
