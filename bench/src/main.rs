//! Measures the figures of docs/performance.md; `make bench` builds what it needs and runs it.
//!
//! ```text
//! bench                 both of the following
//! bench functions       each function's release binary over the Lambda Runtime API
//! bench http [SECONDS]  the functions behind `local`'s HTTP server, at 64 connections
//! ```
//!
use std::{process::ExitCode, time::Duration};

use bench::{backends, functions, gateway, machine};

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
        }
        ["functions"] => functions::run().await,
        ["http"] => gateway::run(Duration::from_secs(SECONDS)).await,
        ["http", seconds] if seconds.parse::<u64>().is_ok() => {
            gateway::run(Duration::from_secs(seconds.parse().unwrap_or(SECONDS))).await;
        }
        [backends::SUBCOMMAND] => backends::serve().await,
        _ => {
            eprintln!("usage: bench [functions | http [SECONDS]]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
