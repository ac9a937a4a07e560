//! The test kit: what an end-to-end test needs around the real binaries.
//!
//! | module | gives |
//! |---|---|
//! | [`binaries`] | the workspace's binaries, built once per test process |
//! | [`process`] | a child process with captured output that never outlives the test |
//! | [`runtime_api`] | the Lambda Runtime API, and a function binary running against it |
//! | [`sealed`] | a client that seals bodies and opens answers |
//! | [`rie`] | a function binary under AWS's own Runtime Interface Emulator |
//! | [`foreign_s3`] | an S3 server that is not ours |
//! | [`moto`] | AWS in one process, which creates stacks from the template |
//! | [`objects`] | the object store of `make run` |
//! | [`upload`] | forms as `wx.uploadFile` posts them |
//! | [`redis_server`] | a real Redis on a port of its own, to stop, freeze and restart |
//! | [`redis_cluster`] | a real Redis cluster, whose slots move and whose nodes die |
//! | [`dynamodb`] | DynamoDB in memory, and a client to look at its rows |
//! | [`wire_proxy`] | a proxy that counts commands and round trips, and breaks on request |
//! | [`secrets_extension`] | AWS's Parameters and Secrets extension, which breaks on request |
//! | [`settings`] | the environment variables of a function |
//! | [`changes`] | the changes of a table, as its stream hands them over |
//! | [`events`] | sample events from `events/`, and events made from a request |
//! | [`http`] | requests over HTTP, and the envelope's promises as assertions |
//! | [`logs`] | the lines a process logged, and the search for secrets in them |
//! | [`test_app`] | the whole backend over HTTP on a clock that is moved by hand, with all that it talks to |
//!
//! Everything awaits a notification under [`PATIENCE`] instead of sleeping for a fixed time, and
//! panics with the log so far when an expectation fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]
#![allow(clippy::must_use_candidate, reason = "a test may ignore a result")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements are where the real clock is read"
)]

pub mod binaries;
pub mod changes;
pub mod conformance;
pub mod dynamodb;
pub mod events;
pub mod foreign_s3;
pub mod http;
pub mod http1;
pub mod logs;
pub mod moto;
pub mod objects;
pub mod process;
pub mod redis_cluster;
pub mod redis_server;
pub mod rie;
pub mod runtime_api;
pub mod sealed;
pub mod secrets_extension;
pub mod settings;
pub mod test_app;
pub mod upload;
pub mod webhooks;
pub mod wire_proxy;

use std::{future::Future, net::TcpListener, sync::OnceLock, time::Duration};

/// How long anything may take before a test gives up. Generous: two busy cores, debug builds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the tests of faults run in their long form (`make soak`).
pub fn is_soak() -> bool {
    std::env::var_os("SOAK").is_some()
}

/// Awaits `future` for at most [`PATIENCE`], and names `what` was missing when it takes longer.
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// A loopback port that was free a moment ago, for programs that can't pick one themselves. Another
/// process may take it first, so callers must retry.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The runtime on which the kit's own servers live, so that a test's blocking code, or the end of
/// its own runtime, never stops them.
pub(crate) fn background() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("test-kit")
            .enable_all()
            .build()
            .unwrap()
    })
}
