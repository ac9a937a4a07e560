//! The commands of the server:
//!
//! - `server`: serves, until SIGTERM or Ctrl-C
//! - `server health`: whether the server on this machine answers, for health checks of containers
//! - `server create-table`: makes the table in the DynamoDB that `AWS_ENDPOINT_URL_DYNAMODB` names

use std::process::ExitCode;

use server::{Outcome, Server, check_health, create_table, refuse};
use shared::{
    config::{Env, ProcessSettings},
    runtime::Allocator,
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const USAGE: &str = "usage: server [health | create-table | --version]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => serve(),
        ["health"] => match check_health(&Env::from_process()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => said(&why),
        },
        ["create-table"] => command(create_table(Env::from_process())),
        ["--version"] => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => said(USAGE),
    }
}

/// Says why a command fails.
fn said(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn command(command: impl Future<Output = Result<(), String>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.map_err(|error| error.to_string()) {
        Ok(runtime) => match runtime.block_on(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => said(&why),
        },
        Err(why) => said(&why),
    }
}

fn serve() -> ExitCode {
    let env = Env::from_process();
    let crates = gateway::FUNCTIONS.iter().map(|(name, _)| *name);
    let started = telemetry::init(
        ProcessSettings::read(&env).log_level,
        crates.chain(["gateway", "server"]),
        telemetry::json_lines(std::io::stdout),
    );
    if let Err(error) = started {
        return refuse(&error.to_string());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(env)),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn run(env: Env) -> ExitCode {
    // Before anything that takes time: a stop during the start is one, too.
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return refuse(&error.to_string()),
    };
    let server = match Server::start(env).await {
        Ok(server) => server,
        Err(error) => return refuse(&error.to_string()),
    };
    match server.serve(stop).await {
        Ok(Outcome::Finished) => ExitCode::SUCCESS,
        Ok(Outcome::Abandoned) => ExitCode::FAILURE,
        Err(error) => refuse(&error.to_string()),
    }
}

/// Completes at SIGTERM, or at Ctrl-C.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
