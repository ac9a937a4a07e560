//! The functions' binaries over the Runtime API, with as many instances as Lambda would have: one
//! request at a time each, and another one where all are busy.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use e2e::{
    binaries,
    events::HttpApi,
    runtime_api::{self, FunctionUnderTest},
    settings::Settings,
};
use serde_json::Value;

use super::calls::{Call, Invocation, Reply, Target};
use crate::responses;

const NAMES: [&str; 4] = ["login", "user-info", "token", "account"];
/// Instances of one function at the same time: a quota of this machine's size.
const QUOTA: usize = 24;

/// All functions that the load calls.
#[derive(Debug)]
pub struct Functions {
    settings: Settings,
    pools: BTreeMap<&'static str, Pool>,
}

/// The instances of one function.
#[derive(Debug)]
struct Pool {
    binary: PathBuf,
    idle: Mutex<Vec<Instance>>,
    alive: Arc<AtomicUsize>,
    started: AtomicUsize,
}

#[derive(Debug)]
struct Instance {
    function: FunctionUnderTest,
    alive: Arc<AtomicUsize>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Functions {
    /// None is started yet.
    pub fn new(settings: &Settings) -> Self {
        let pool = |name| Pool {
            binary: binaries::function(name),
            idle: Mutex::default(),
            alive: Arc::default(),
            started: AtomicUsize::new(0),
        };
        Self {
            settings: settings.clone(),
            pools: NAMES.into_iter().map(|name| (name, pool(name))).collect(),
        }
    }
}

impl Target for Functions {
    async fn send(&self, call: Call) -> Reply {
        let pool = &self.pools[call.function];
        let Some((instance, is_cold)) = pool.take(&self.settings) else {
            return Reply::none("throttled: no instance free");
        };
        let answer = instance.function.measure(&event(&call)).await;
        pool.idle.lock().unwrap().push(instance);
        let reply = match &answer.reply {
            runtime_api::Reply::Response(body) => read(body),
            runtime_api::Reply::Error(_) => Reply::none("the invocation failed"),
        };
        let duration = answer.answered - answer.handed_over;
        Reply {
            invocation: Some(Invocation { is_cold, duration }),
            ..reply
        }
    }

    fn instances(&self) -> BTreeMap<&'static str, usize> {
        let started = |pool: &Pool| pool.started.load(Ordering::Relaxed);
        self.pools
            .iter()
            .map(|(name, pool)| (*name, started(pool)))
            .collect()
    }
}

impl Pool {
    /// The instance that was busy last, or a new one, and whether it is one; `None` when there are as
    /// many as may be.
    fn take(&self, settings: &Settings) -> Option<(Instance, bool)> {
        if let Some(instance) = self.idle.lock().unwrap().pop() {
            return Some((instance, false));
        }
        if self.alive.fetch_add(1, Ordering::Relaxed) >= QUOTA {
            self.alive.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.started.fetch_add(1, Ordering::Relaxed);
        let log = Path::new("/dev/null");
        let instance = Instance {
            function: FunctionUnderTest::spawn_logging_to(&self.binary, settings.variables(), log),
            alive: self.alive.clone(),
        };
        Some((instance, true))
    }
}

fn event(call: &Call) -> Vec<u8> {
    let mut request = HttpApi::new(call.method, call.path);
    if let Some(token) = &call.token {
        request = request.bearer(token);
    }
    if let Some(body) = &call.body {
        request = request.json(body);
    }
    request.event().to_string().into_bytes()
}

/// What API Gateway would make of a function's response.
fn read(response: &[u8]) -> Reply {
    let response: Value = serde_json::from_slice(response).unwrap_or_default();
    let status = response["statusCode"].as_u64().unwrap_or(502);
    let body = response["body"].as_str().unwrap_or_default();
    let status = u16::try_from(status).unwrap_or(502);
    let header_bytes = responses::bytes(&response) - body.len();
    Reply::read(status, header_bytes, body.as_bytes())
}
