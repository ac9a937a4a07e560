//! The commands behind `make`:
//!
//! - `make run`: starts the gateway with the settings of the environment and `.env`, until Ctrl-C
//! - `make keys`: generates keys
//! - `make seal`: sends a sealed request
//! - `make breaker`: shows or forces the circuit breaker
//! - `make phone`: takes a phone number from its owner
//! - `make admin`: makes a user an administrator
//! - `make sagas`: continues the deletions of accounts that stopped half-way

use std::{collections::BTreeSet, io::IsTerminal, path::Path, process::ExitCode};

use local::{
    FUNCTIONS, Gateway, KeySet, LogTail, StartError, WORKERS, all_settings, banner, dotenv,
    ignored_names,
};
use shared::{
    config::{Env, ProcessSettings},
    random::Random,
    runtime::Allocator,
    telemetry::{self, LevelFilter},
};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const USAGE: &str = "usage: local [keys [FOLDER] | seal METHOD URL [TOKEN] < BODY | breaker show|open|close|reset | phone release < NUMBER | admin ID | sagas]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Errors are texts for the user.
fn run(arguments: &[&str]) -> Result<(), String> {
    match *arguments {
        [] => start().map_err(|error| format!("weapp-serverless does not start: {error}")),
        ["keys"] => keys(None),
        ["keys", folder] => keys(Some(Path::new(folder))),
        ["seal", method, url] => seal(method, url, None),
        ["seal", method, url, token] => seal(method, url, Some(token)),
        ["breaker", ref arguments @ ..] => breaker(arguments),
        ["phone", "release"] => release_phone(),
        ["admin", user] => make_administrator(user),
        ["sagas"] => resume_sagas(),
        _ => Err(USAGE.to_owned()),
    }
}

/// Prints new keys, or writes them to a folder and prints how to store them.
fn keys(folder: Option<&Path>) -> Result<(), String> {
    let keys = KeySet::generate(&Random::System).map_err(|error| error.to_string())?;
    let text = match folder {
        Some(folder) => keys
            .store(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?,
        None => keys.lines(),
    };
    print!("{text}");
    Ok(())
}

/// Shows the circuit breaker, or forces it open or closed.
fn breaker(arguments: &[&str]) -> Result<(), String> {
    let env = environment().map_err(|error| error.to_string())?;
    let report = block_on(local::breaker(env, arguments))?;
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}

/// Takes the phone number in the first line of standard input from its owner.
fn release_phone() -> Result<(), String> {
    let env = environment().map_err(|error| error.to_string())?;
    log_audit_lines()?;
    if std::io::stdin().is_terminal() {
        eprint!("phone number: ");
    }
    let mut number = String::new();
    std::io::stdin()
        .read_line(&mut number)
        .map_err(|error| error.to_string())?;
    if block_on(local::release_phone(env, &number))?.is_empty() {
        eprintln!("the number belongs to nobody");
    }
    Ok(())
}

/// Gives a user the role of administrators.
fn make_administrator(user: &str) -> Result<(), String> {
    let env = environment().map_err(|error| error.to_string())?;
    log_audit_lines()?;
    block_on(local::make_administrator(env, user))?;
    println!("{user} is an administrator");
    Ok(())
}

/// Continues what stopped half-way, and says what became of each.
fn resume_sagas() -> Result<(), String> {
    let env = environment().map_err(|error| error.to_string())?;
    let lines = block_on(local::resume_sagas(env))?;
    if lines.is_empty() {
        println!("nothing has stopped half-way");
    }
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

/// Whatever `LOG_LEVEL` says: the audit line is the command's output.
fn log_audit_lines() -> Result<(), String> {
    telemetry::init(
        LevelFilter::INFO,
        ["local"],
        telemetry::json_lines(std::io::stdout),
    )
    .map_err(|error| error.to_string())
}

/// Sends standard input, sealed.
fn seal(method: &str, url: &str, token: Option<&str>) -> Result<(), String> {
    let content = std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())?;
    block_on(local::seal(method, url, token, &content))
}

/// Runs a command's future on a runtime of this thread.
fn block_on<T, E: ToString>(command: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(command).map_err(|error| error.to_string())
}

/// Starts the gateway, and serves until a stop signal.
fn start() -> Result<(), Box<dyn std::error::Error>> {
    let env = environment()?;
    let crates = FUNCTIONS.iter().map(|(name, _)| *name);
    let crates = crates.chain(WORKERS.iter().map(|(name, _)| *name));
    let crates = crates.chain(["gateway", "local"]);
    let level = ProcessSettings::read(&env).log_level;
    let log = LogTail::default();
    let lines = local::log_lines(&env, &log);
    telemetry::init(level, crates, lines).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let known: Vec<_> = all_settings().map(|setting| setting.name).collect();
    let ignored = ignored_names(&env, &known);
    runtime.block_on(async {
        let gateway = Gateway::start(env, log).await;
        let gateway = gateway.map_err(|error| refusal(&error, &ignored))?;
        println!("{}", banner(&gateway).await);
        gateway.serve(stop_signal()?).await?;
        println!("stopped");
        Ok(())
    })
}

/// Why the gateway does not start, and the names that are ignored: one of them can be the reason.
fn refusal(error: &StartError, ignored: &[String]) -> String {
    if ignored.is_empty() {
        return error.to_string();
    }
    let names = ignored.join(", ");
    format!("{error}\nignored: {names} (no settings have these names)")
}

/// The settings: the environment, and `.env` for those that it does not set.
fn environment() -> Result<Env, Box<dyn std::error::Error>> {
    let mut values = dotenv::read(Path::new(".env"))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place where this binary reads its environment"
    )]
    let process = std::env::vars_os();
    let known: BTreeSet<_> = all_settings().map(|setting| setting.name).collect();
    for name in values.keys().filter(|name| !known.contains(name.as_str())) {
        eprintln!(".env: {name} is not a setting and has no effect");
    }
    for (name, value) in process {
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => drop(values.insert(name, value)),
            Err(_) if known.contains(name.as_str()) => {
                return Err(format!("{name}: is not UTF-8 text").into());
            }
            Err(_) => {}
        }
    }
    Ok(Env::new(values))
}

/// Completes at Ctrl-C, or at SIGTERM from a supervisor.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
