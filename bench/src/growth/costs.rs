//! Costs in one step of the rate limiter: what a request with so many policies asks of Redis.

use std::{net::Ipv4Addr, time::Duration};

use e2e::redis_server::RedisServer;
use secrecy::SecretString;
use shared::{
    kv::{Delivery, Kv, RedisStore, Step},
    resilience::rate_limit::{Charge, Identity, Policy},
};

use super::{Latency, Scale, panel, time};
use crate::{plot::Plot, stats::Samples};

/// The names of the policies; a request of ours has at most three.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// From none, which is a read beside it alone, to eight.
pub async fn measure(scale: Scale) -> Plot {
    let redis = RedisServer::start().await;
    let url = SecretString::from(redis.url());
    let kv = Kv::Redis(RedisStore::with_budget(&url, Duration::from_secs(5)));
    let (mut latency, mut memory) = (Latency::default(), Vec::new());
    // An identity for each request, so that the memory is that of so many identities.
    let count = u32::try_from(10 * scale.samples).unwrap();
    let mut first = 0;
    for costs in 0..=NAMES.len() {
        forget(&redis).await;
        let mut samples = Samples::default();
        for index in 0..count {
            let charge = charge(first + index, costs);
            let steps: [&dyn Step; 1] = [&charge];
            let steps = if costs == 0 { &steps[..0] } else { &steps };
            let (replies, took) = time(kv.ask(steps, ["read"], Delivery::Required)).await;
            let replies = replies.expect("Redis replies");
            for reply in replies.steps {
                let decision = charge.decision(&reply.expect("a charge"));
                assert!(decision.is_ok_and(|decision| decision.is_admitted()));
            }
            samples.push(took);
        }
        first += count;
        latency.push(&samples);
        memory.push(memory_of_keys(&redis).await / f64::from(count));
    }
    Plot {
        along: "costs in one step",
        steps: (0..=NAMES.len()).map(|costs| costs.to_string()).collect(),
        panels: vec![
            latency.panel("one round trip to Redis, ms"),
            panel("memory of Redis for each identity, bytes", memory),
        ],
    }
}

fn charge(identity: u32, costs: usize) -> Charge {
    let address = Identity::Address(Ipv4Addr::from_bits(identity).into());
    let policies = NAMES[..costs].iter().map(|name| {
        // So slow that no charge expires before its memory is read.
        let policy = Policy::new(name, 1, 120, Duration::from_hours(1)).unwrap();
        policy.cost(1).unwrap()
    });
    Charge::new(address, policies.collect())
}

async fn forget(redis: &RedisServer) {
    redis::cmd("FLUSHDB")
        .exec_async(&mut redis.connection().await)
        .await
        .unwrap();
}

/// What Redis counts for all keys, in bytes. Its total also has buffers in it, which come and go.
async fn memory_of_keys(redis: &RedisServer) -> f64 {
    let mut connection = redis.connection().await;
    let mut keys = redis::cmd("KEYS");
    let keys: Vec<Vec<u8>> = keys.arg("*").query_async(&mut connection).await.unwrap();
    let mut bytes = 0.0;
    for key in keys {
        let mut usage = redis::cmd("MEMORY");
        let usage = usage.arg("USAGE").arg(key);
        bytes += usage.query_async::<f64>(&mut connection).await.unwrap();
    }
    bytes
}
