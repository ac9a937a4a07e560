//! Measures the figures of docs/performance.md; `make bench` builds what it needs and runs it.
//!
//! ```text
//! bench                 all of the following
//! bench functions       each function's release binary over the Lambda Runtime API
//! bench billed          what Lambda would bill, at its share of a core; writes docs/cost/measured.toml
//! bench http [SECONDS]  the functions behind `local`'s HTTP server, at 64 connections
//! bench growth [short]  how cost grows; draws the plots of docs/performance/
//! bench load [short] [--url URL] [--folder FOLDER]
//!                       `make load`: a mix of requests in an open loop, and a report
//! ```

use std::{process::ExitCode, time::Duration};

use bench::{
    backends, billed, functions, gateway,
    growth::{self, Scale},
    load_test, machine,
};

/// The default duration of a throughput measurement.
const SECONDS: u64 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words != [backends::SUBCOMMAND] {
        println!("{}\n", machine::heading());
    }
    match words.as_slice() {
        [] => {
            functions::run().await;
            gateway::run(Duration::from_secs(SECONDS)).await;
            growth::run(Scale::FULL).await;
        }
        ["functions"] => functions::run().await,
        ["billed"] => billed::run().await,
        ["http"] => gateway::run(Duration::from_secs(SECONDS)).await,
        ["http", seconds] if seconds.parse::<u64>().is_ok() => {
            gateway::run(Duration::from_secs(seconds.parse().unwrap_or(SECONDS))).await;
        }
        ["growth"] => growth::run(Scale::FULL).await,
        ["growth", "short"] => growth::run(Scale::SHORT).await,
        [backends::SUBCOMMAND] => backends::serve().await,
        ["load", words @ ..] => match load_test::Options::parse(words) {
            Some(options) => load_test::run(options).await,
            None => return usage(),
        },
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: bench [functions | billed | http [SECONDS] | growth [short] | load [short] [--url URL] [--folder FOLDER]]"
    );
    ExitCode::from(2)
}
