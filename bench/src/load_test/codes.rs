//! `wx.login` codes of many people.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::http::Client;
use serde_json::{Value, json};

/// How many people log in again and again.
const REGULARS: usize = 1_000;
/// From one of them to the next: a prime, so that neighbours don't follow each other.
const STRIDE: usize = 7_919;
/// Of this many logins one is somebody's first.
const NEW: usize = 5;
/// Where the simulator of `make run` issues codes.
const SIMULATOR: &str = "/_wechat/_control/code";

/// Who logs in.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// Mostly regulars, now and then somebody new.
    Anybody,
    /// Somebody with this role in the load alone.
    Only(&'static str),
}

/// Issues codes.
#[derive(Debug)]
pub struct Codes {
    simulator: Option<Client>,
    drawn: AtomicUsize,
    /// Sets the people of this load apart from those of another one against the same server.
    load: String,
}

impl Codes {
    /// For a WeChat that takes every code: `NAME.NUMBER`.
    pub fn made_up() -> Self {
        Self {
            simulator: None,
            drawn: AtomicUsize::new(0),
            load: String::new(),
        }
    }

    /// For a running server: from its simulator if it has one.
    pub async fn of(url: &str) -> Self {
        let client = Client::new(url);
        let request = client.post(SIMULATOR, &json!({"user": "load-probe"}));
        let (status, _, _) = request.send_raw().await;
        Self {
            simulator: (status == 200).then_some(client),
            load: format!("{}-", shared::clock::Clock::System.now_seconds()),
            ..Self::made_up()
        }
    }

    /// An unused code.
    pub async fn draw(&self, who: Who) -> String {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let load = &self.load;
        let name = match who {
            Who::Anybody if number.is_multiple_of(NEW) => format!("{load}new{number}"),
            Who::Anybody => format!("regular{}", number * STRIDE % REGULARS),
            Who::Only(role) => format!("{load}{role}{number}"),
        };
        let Some(client) = &self.simulator else {
            return format!("{name}.{load}{number}");
        };
        let (status, _, body) = client
            .post(SIMULATOR, &json!({"user": name}))
            .send_raw()
            .await;
        assert_eq!(status, 200, "the simulator issues no code");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        body["code"].as_str().expect("a code").to_owned()
    }
}
