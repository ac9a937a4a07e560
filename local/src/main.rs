//! `make run`: reads `.env` and the environment, starts the gateway, serves until Ctrl-C. `make
//! keys`: makes keys. `make seal`: a sealed call. `make breaker`: the circuit breaker.

use std::{collections::BTreeMap, path::Path, process::ExitCode};

use local::{FUNCTIONS, Gateway, KeySet, banner};
use shared::{config::Env, random::Random, telemetry};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome =
        match arguments[..] {
            [] => start().map_err(|error| format!("weapp-serverless does not start: {error}")),
            ["keys"] => keys(None),
            ["keys", folder] => keys(Some(Path::new(folder))),
            ["seal", method, url] => seal(method, url, None),
            ["seal", method, url, token] => seal(method, url, Some(token)),
            ["breaker", ..] => breaker(&arguments[1..]),
            _ => Err("usage: local [keys [FOLDER] | seal METHOD URL [TOKEN] < BODY | breaker show|open|close|reset]"
                .to_owned()),
        };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
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

/// Shows the circuit breaker, or holds it open or closed.
fn breaker(arguments: &[&str]) -> Result<(), String> {
    let env = environment().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let report = runtime
        .map_err(|error| error.to_string())?
        .block_on(local::breaker(env, arguments))?;
    println!(
        "{}",
        serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?
    );
    Ok(())
}

/// Sends what standard input says, sealed.
fn seal(method: &str, url: &str, token: Option<&str>) -> Result<(), String> {
    let content = std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime
        .block_on(local::seal(method, url, token, &content))
        .map_err(|error| error.to_string())
}

fn start() -> Result<(), Box<dyn std::error::Error>> {
    let env = environment()?;
    let crates = FUNCTIONS.iter().map(|(name, _)| *name).chain(["local"]);
    telemetry::init(
        env.get("LOG_LEVEL").unwrap_or("info"),
        crates,
        std::io::stdout,
    )
    .map_err(|error| format!("LOG_LEVEL: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let gateway = Gateway::start(env).await?;
        println!("{}", banner(&gateway));
        gateway.serve(stop_signal()?).await?;
        println!("ended");
        Ok(())
    })
}

/// The environment, and `.env` where it does not say otherwise.
fn environment() -> Result<Env, Box<dyn std::error::Error>> {
    let mut values = BTreeMap::new();
    match dotenvy::from_path_iter(".env") {
        Ok(lines) => {
            for line in lines {
                // The library's error quotes the line, which can hold a secret.
                let (name, value) = line.map_err(|_| ".env has a line that is not NAME=value")?;
                values.insert(name, value);
            }
        }
        Err(error) if error.not_found() => {}
        Err(_) => return Err(".env can't be read".into()),
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "this binary's one reading of its environment"
    )]
    let process = std::env::vars_os();
    values.extend(
        process.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    );
    Ok(Env::new(values))
}

/// Ctrl-C, or SIGTERM from whoever supervises this process.
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
