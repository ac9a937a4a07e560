//! What Redis holds after the load, by kind of key.

use std::collections::BTreeMap;

use redis::{aio::MultiplexedConnection, cmd, pipe};
use serde_json::{Value, json};

use crate::services::Services;

/// Keys of one kind.
#[derive(Debug, Default, Clone)]
pub struct KeyKind {
    /// The key with `…` for what identifies somebody or something.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Bytes of one of them on average, as Redis counts them (`MEMORY USAGE`).
    pub bytes: f64,
    /// Seconds until the last of them expires.
    pub ttl: i64,
}

impl KeyKind {
    /// For the report.
    pub fn json(&self) -> Value {
        json!({"key": self.name, "count": self.count, "bytes": self.bytes, "ttlSeconds": self.ttl})
    }
}

/// Keys whose memory is asked for at once.
const BATCH: usize = 500;

/// All keys of these services' Redis.
pub async fn of_keys(services: &Services) -> Vec<KeyKind> {
    let mut connection = services.redis().connection().await;
    let mut kinds: BTreeMap<String, KeyKind> = BTreeMap::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        let scan = scan.arg(cursor).arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await.unwrap();
        for (key, bytes, ttl) in memory(&mut connection, keys).await {
            let name = kind_of(&key);
            let kind = kinds.entry(name.clone()).or_default();
            kind.name = name;
            kind.count += 1;
            kind.bytes += bytes;
            kind.ttl = kind.ttl.max(ttl);
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    for kind in &mut kinds {
        kind.bytes /= f64::from(u32::try_from(kind.count).unwrap_or(u32::MAX));
    }
    kinds
}

/// Bytes and seconds to live of each key; without those that expired meanwhile.
async fn memory(
    connection: &mut MultiplexedConnection,
    keys: Vec<String>,
) -> Vec<(String, f64, i64)> {
    let mut questions = pipe();
    for key in &keys {
        questions.cmd("MEMORY").arg("USAGE").arg(key);
        questions.cmd("TTL").arg(key);
    }
    if keys.is_empty() {
        return Vec::new();
    }
    let answers: Vec<Option<i64>> = questions.query_async(connection).await.unwrap();
    let answers = answers.chunks_exact(2).zip(keys);
    answers
        .filter_map(|(answer, key)| {
            #[expect(clippy::cast_precision_loss, reason = "some hundred bytes")]
            let bytes = answer[0]? as f64;
            Some((key, bytes, answer[1]?))
        })
        .collect()
}

/// A key without what identifies somebody or something.
fn kind_of(key: &str) -> String {
    let is_mark = |c: char| "{}:".contains(c);
    let mut kind = String::new();
    for part in key.split_inclusive(is_mark) {
        let word = part.trim_end_matches(is_mark);
        let identifies = word.len() >= 16 || word.parse::<std::net::IpAddr>().is_ok();
        kind += if identifies { "…" } else { word };
        kind += &part[word.len()..];
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn keys_of_a_kind_have_one_name() {
        for (key, kind) in [
            (
                "{u:01a2190f-3a3c-7df9-af9b-4dd81356ffd4}:profile",
                "{u:…}:profile",
            ),
            (
                "{u:01a2190f-3a3c-7df9-af9b-4dd81356ffd4}:sessions:20",
                "{u:…}:sessions:20",
            ),
            ("{ip:127.0.0.1}:rl:login", "{ip:…}:rl:login"),
            ("{brk:wechat}", "{brk:wechat}"),
        ] {
            assert_eq!(kind_of(key), kind);
        }
    }
}
