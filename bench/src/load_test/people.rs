//! Who is logged in before the load begins.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::{
    calls::{Call, Target},
    codes::{Codes, Who},
};

/// How many log in at the same time.
const AT_ONCE: usize = 4;

/// How many people there are for what.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Their profiles are read, in turn.
    pub readers: usize,
    /// Their sessions are refreshed, in turn, each by one request at a time.
    pub refreshers: usize,
    /// Each deletes the account, once.
    pub leavers: usize,
}

/// People with tokens.
#[derive(Debug)]
pub struct People {
    readers: Vec<String>,
    read: AtomicUsize,
    refreshers: Mutex<VecDeque<String>>,
    leavers: Mutex<Vec<String>>,
}

impl People {
    /// Logs all of them in.
    pub async fn log_in<T: Target>(target: &T, codes: &Codes, numbers: Numbers) -> Self {
        let readers = tokens(target, codes, "reader", numbers.readers, "token").await;
        let refreshers = tokens(
            target,
            codes,
            "refresher",
            numbers.refreshers,
            "refreshToken",
        )
        .await;
        let leavers = tokens(target, codes, "leaver", numbers.leavers, "token").await;
        Self {
            readers,
            read: AtomicUsize::new(0),
            refreshers: Mutex::new(refreshers.into()),
            leavers: Mutex::new(leavers),
        }
    }

    /// The next reader's access token.
    pub fn reader(&self) -> String {
        let turn = self.read.fetch_add(1, Ordering::Relaxed);
        self.readers[turn % self.readers.len()].clone()
    }

    /// The refresh token that waits for the longest time; `None` while all are being refreshed.
    pub fn take_refresher(&self) -> Option<String> {
        self.refreshers.lock().unwrap().pop_front()
    }

    /// Queues a refresh token.
    pub fn add_refresher(&self, token: String) {
        self.refreshers.lock().unwrap().push_back(token);
    }

    /// An access token of somebody who leaves.
    pub fn take_leaver(&self) -> Option<String> {
        self.leavers.lock().unwrap().pop()
    }
}

async fn tokens<T: Target>(
    target: &T,
    codes: &Codes,
    role: &'static str,
    count: usize,
    member: &str,
) -> Vec<String> {
    let log_in = async |_| {
        let code = codes.draw(Who::Only(role)).await;
        let reply = target.send(Call::login(&code)).await;
        let data: Value = reply.result.unwrap_or_else(|reason| {
            panic!(
                "nobody can log in before the load: {reason}. The server needs a WeChat that takes made-up codes, or the \
                 simulator of `make run`, and RATE_LIMIT_LOGIN high enough for one address"
            )
        });
        data[member].as_str().expect("a token").to_owned()
    };
    stream::iter(0..count)
        .map(log_in)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}
