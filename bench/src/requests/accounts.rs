//! Requests about accounts: listing, changing and deleting users, and remote configuration, with what
//! has to be there before.

use std::path::Path;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, PutRequest, WriteRequest},
};
use e2e::{
    binaries,
    dynamodb::{Item, TABLE},
    events::HttpApi,
    runtime_api::FunctionUnderTest,
    settings::Settings,
};
use serde_json::{Value, json};

use super::{Requests, data, log_in, text};

/// The path of the value that is read.
pub const CONFIG: &str = "/api/v1/config/home.banner";
/// The path of the first page of users.
pub const USER_LIST: &str = "/api/v1/users?limit=100";
/// How many users are listed.
const USERS: u64 = 10_000;
/// Rows of one `BatchWriteItem`.
const BATCH: usize = 25;

/// A user who may list and change users.
#[derive(Debug)]
pub struct Administrator {
    /// The settings with `ADMINS`.
    pub settings: Settings,
    /// The access token.
    pub token: String,
    id: String,
}

impl Administrator {
    /// Logs in through the binary `login`.
    pub async fn log_in(login: &Path, settings: &Settings) -> Self {
        let answer = log_in(login, settings, "administrator").await;
        let id = text(&answer["user"], "id");
        Self {
            settings: settings.clone().with("ADMINS", &id),
            token: text(&answer, "token"),
            id,
        }
    }

    /// Reads of a value, which is written first.
    pub async fn config(&self) -> Requests {
        let config = binaries::function("config");
        let function = FunctionUnderTest::spawn(&config, self.settings.variables());
        let value = json!({"title": "小程序上线啦", "isShown": true});
        let put = HttpApi::new("PUT", CONFIG).bearer(&self.token);
        let put = put.json(&json!({"value": value}));
        data(&function.invoke(&put.event()).await);
        Requests::Config
    }

    /// Pages of many users, whose rows are written first, through a client of the table.
    pub async fn user_list(&self, table: &Client) -> Requests {
        let rows: Vec<_> = (0..USERS).map(row).collect();
        for rows in rows.chunks(BATCH) {
            put(table, rows).await;
        }
        Requests::UserList(self.token.clone())
    }

    /// Changes of the administrator's own profile.
    #[must_use]
    pub fn user_change(&self) -> Requests {
        Requests::UserChange(Change {
            token: self.token.clone(),
            id: self.id.clone(),
            version: 1,
        })
    }
}

/// Changes of one user.
#[derive(Debug)]
pub struct Change {
    token: String,
    id: String,
    version: u64,
}

impl Change {
    pub(super) fn request(&self) -> HttpApi {
        let body = json!({"version": self.version, "gender": self.version % 2 + 1});
        let path = format!("/api/v1/users/{}", self.id);
        HttpApi::new("PUT", &path).bearer(&self.token).json(&body)
    }

    pub(super) fn read(&mut self, user: &Value) {
        let version = user["version"].as_u64();
        self.version = version.expect("a version");
    }
}

/// Deletions of this many users, who log in first.
pub async fn deletions(login: &Path, settings: &Settings, users: usize) -> Requests {
    let function = FunctionUnderTest::spawn(login, settings.variables());
    let mut tokens = Vec::new();
    for user in 0..users {
        let body = json!({"code": format!("leaver{user}.1")});
        let event = HttpApi::new("POST", "/api/v1/user/login").json(&body);
        let answer = data(&function.invoke(&event.event()).await);
        tokens.push(text(&answer, "token"));
    }
    Requests::Deletion(tokens)
}

/// Logins that merge two accounts each, which are made first: the person's union id is the other
/// account's. With the settings that they need.
pub async fn merges(login: &Path, settings: &Settings, pairs: usize) -> (Requests, Settings) {
    let settings = settings.clone().with("UNION_CONFLICT", "merge");
    let function = FunctionUnderTest::spawn(login, settings.variables());
    let call = async |code: String| {
        let event = HttpApi::new("POST", "/api/v1/user/login").json(&json!({"code": code}));
        data(&function.invoke(&event.event()).await);
    };
    let mut codes = Vec::new();
    for pair in 0..pairs {
        call(format!("older{pair}.1")).await;
        call(format!("newer{pair}_pair{pair}.1")).await;
        codes.push(format!("older{pair}_pair{pair}.2"));
    }
    (Requests::Merge(codes), settings)
}

/// The row of a user as a first login writes it. The digits that decide the partition of the index
/// are scattered.
fn row(number: u64) -> Item {
    let scattered = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let id = format!("019f0000-0000-7000-8000-{scattered:012x}");
    let (hour, minute, second) = (number / 3600, number / 60 % 60, number % 60);
    let created = format!("2026-01-01T{hour:02}:{minute:02}:{second:02}.120Z");
    let mut row: Item = [
        ("pk", format!("USER#{id}")),
        ("sk", "PROFILE".to_owned()),
        ("nickname", format!("用户 {number}")),
        ("role", "user".to_owned()),
        ("status", "active".to_owned()),
        ("createdAt", created.clone()),
        ("updatedAt", created.clone()),
        ("gsi1pk", format!("USERS#{}", scattered % 16)),
        ("gsi1sk", format!("{created}#{id}")),
        ("id", id),
    ]
    .map(|(name, text)| (name.to_owned(), AttributeValue::S(text)))
    .into();
    row.insert("version".to_owned(), AttributeValue::N("1".to_owned()));
    row
}

async fn put(table: &Client, rows: &[Item]) {
    let request = |row: &Item| {
        let put = PutRequest::builder().set_item(Some(row.clone()));
        let put = put.build().expect("a row");
        WriteRequest::builder().put_request(put).build()
    };
    let rows = rows.iter().map(request).collect();
    let batch = table.batch_write_item().request_items(TABLE, rows);
    let written = batch.send().await.expect("BatchWriteItem");
    let left = written.unprocessed_items();
    assert!(left.is_none_or(std::collections::HashMap::is_empty));
}
