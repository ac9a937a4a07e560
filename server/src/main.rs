//! The commands of the server:
//!
//! - `server`: serves, until SIGTERM or Ctrl-C
//! - `server health`: whether the server on this machine answers, for health checks of containers
//! - `server create-table`: makes the table in the DynamoDB that `AWS_ENDPOINT_URL_DYNAMODB` names
//! - `server sagas`: continues the deletions and merges of accounts that stopped half-way

use std::process::ExitCode;

use server::{Outcome, Server, check_health, create_table, refuse, resume_sagas};
use shared::{
    config::{Env, ProcessSettings},
    runtime::Allocator,
    telemetry,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const USAGE: &str = "usage: server [health | create-table | sagas | --version]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => serve(),
        ["health"] => match check_health(&Env::from_process()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(&why),
        },
        ["create-table"] => command(create_table(Env::from_process())),
        ["sagas"] => command(sagas()),
        ["--version"] => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => fail(USAGE),
    }
}

/// Says what has become of each.
async fn sagas() -> Result<(), String> {
    for line in resume_sagas(Env::from_process()).await? {
        println!("{line}");
    }
    Ok(())
}

/// Says why a command fails.
fn fail(why: &str) -> ExitCode {
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
            Err(why) => fail(&why),
        },
        Err(why) => fail(&why),
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
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return refuse(&error.to_string()),
    };
    let server = match Server::start(env).await {
        Ok(server) => server,
        Err(error) => return refuse(&error.to_string()),
    };
    let (stop, stopped) = oneshot::channel();
    let serving = server.serve(async { drop(stopped.await) });
    tokio::select! {
        outcome = serving => match outcome {
            Ok(Outcome::Finished) => ExitCode::SUCCESS,
            Ok(Outcome::Abandoned) => ExitCode::FAILURE,
            Err(error) => refuse(&error.to_string()),
        },
        () = signals.abort(stop) => {
            tracing::error!("stopped at once, by a second Ctrl-C");
            ExitCode::FAILURE
        }
    }
}

/// SIGTERM and Ctrl-C.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Sends `stop` at the first signal, and completes at a Ctrl-C after that. A second SIGTERM changes
    /// nothing: supervisors may send several.
    async fn abort(&mut self, stop: oneshot::Sender<()>) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        let _ = stop.send(());
        self.interrupt.recv().await;
    }
}
