//! Users in the table: logins of known users, drawn from all of them.

use std::{collections::HashMap, time::Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::{DynamoDb, Item},
    redis_server::RedisServer,
    settings::{APP_ID, Settings},
};

use super::{Latency, Scale, latencies, mib, panel, spawn};
use crate::{plot::Plot, requests::Requests, traffic::Codes, wechat};

/// So many users are put at once.
const BATCH: u64 = 10_000;

/// From a thousand users on, ten times as many at each step. Their rows are copies of those that a
/// first login wrote.
pub async fn measure(scale: Scale) -> Plot {
    let (redis, table) = (RedisServer::start().await, DynamoDb::start().await);
    let wechat_url = format!("http://{}", wechat::serve());
    let settings = Settings::new(&table.url(), &wechat_url).redis(&redis.url());
    let login = spawn("login", &settings);
    latencies(&login, &mut Requests::Login(Codes::of(1)), 1).await;
    let template = Template::read(&table).await;

    let (mut steps, mut latency) = (Vec::new(), Latency::default());
    let (mut memory, mut of_table) = (Vec::new(), Vec::new());
    let (mut filled, mut users) = (1, 1_000);
    while users <= scale.users {
        let start = Instant::now();
        fill(&table, &template, filled..users);
        let took = start.elapsed();
        filled = users;
        let mut requests = Requests::Login(Codes::of(users));
        latencies(&login, &mut requests, scale.samples / 10).await;
        latency.push(&latencies(&login, &mut requests, scale.samples).await);
        steps.push(users.to_string());
        memory.push(mib(login.rss_bytes()));
        of_table.push(mib(own_memory()));
        if took > scale.filling / 10 {
            break;
        }
        users *= 10;
    }
    Plot {
        along: "users in the table",
        steps,
        panels: vec![
            latency.panel("login, ms"),
            panel("memory of the function, MiB", memory),
            panel("memory of the embedded DynamoDB's process, MiB", of_table),
        ],
    }
}

fn fill(table: &DynamoDb, template: &Template, mut users: std::ops::Range<u64>) {
    while !users.is_empty() {
        let end = (users.start + BATCH).min(users.end);
        table.import((users.start..end).flat_map(|user| template.rows(user)));
        users.start = end;
    }
}

/// The rows of the user `bench-user0`.
struct Template {
    identity: Item,
    profile: Item,
    identity_key: String,
    id: String,
}

impl Template {
    async fn read(table: &DynamoDb) -> Self {
        let identity_key = identity_key(0);
        let identity = table.item(&identity_key, "IDENTITY").await.unwrap();
        let id = identity["uid"].as_s().unwrap().clone();
        let profile = table.item(&format!("USER#{id}"), "PROFILE").await.unwrap();
        Self {
            identity,
            profile,
            identity_key,
            id,
        }
    }

    /// The rows of another user.
    fn rows(&self, user: u64) -> [Item; 2] {
        let id = format!("{}{user:012x}", &self.id[..24]);
        let key = identity_key(user);
        let text = |text: &str| {
            text.replace(&self.identity_key, &key)
                .replace(&self.id, &id)
        };
        let value = |value: &AttributeValue| match value {
            AttributeValue::S(known) => AttributeValue::S(text(known)),
            AttributeValue::Ss(known) => {
                AttributeValue::Ss(known.iter().map(|known| text(known)).collect())
            }
            other => other.clone(),
        };
        [&self.identity, &self.profile].map(|row| {
            row.iter()
                .map(|(name, known)| (name.clone(), value(known)))
                .collect::<HashMap<_, _>>()
        })
    }
}

fn identity_key(user: u64) -> String {
    format!("WX#{APP_ID}#bench-user{user}")
}

/// The resident memory of this process, in which the embedded DynamoDB runs.
fn own_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or_default();
    pages * rustix::param::page_size() as u64
}
