//! DynamoDB and WeChat in a separate process, so that they don't run in the measuring one.

use std::process::Command;

use e2e::{
    dynamodb::DynamoDb,
    process::{Process, Spawn},
};

use crate::wechat;

/// The argument with which this program runs as that process.
pub const SUBCOMMAND: &str = "serve-backends";
const READY: &str = "backends:";

/// The process.
#[derive(Debug)]
pub struct Backends {
    _process: Process,
    /// DynamoDB's URL.
    pub dynamodb_url: String,
    /// WeChat's URL.
    pub wechat_url: String,
}

impl Backends {
    /// Starts the process.
    pub async fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SUBCOMMAND);
        let process = Spawn::new(command).guarded().spawn();
        let line = process.wait_for_line(READY).await;
        let urls: Vec<&str> = line.split(' ').collect();
        Self {
            dynamodb_url: urls[1].to_owned(),
            wechat_url: urls[2].to_owned(),
            _process: process,
        }
    }
}

/// Runs as that process until it is killed.
pub async fn serve() {
    let dynamodb = DynamoDb::start().await;
    let wechat = wechat::serve();
    println!("{READY} {} http://{wechat}", dynamodb.url());
    std::future::pending::<()>().await;
}
