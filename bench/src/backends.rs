//! DynamoDB and WeChat in a process of their own, so that they don't run in the one that measures.

use std::process::Command;

use e2e::{
    dynamodb::DynamoDb,
    process::{Process, Spawn},
};

use crate::wechat;

/// What this program is called with to be that process.
pub const SUBCOMMAND: &str = "serve-backends";
const READY: &str = "backends:";

/// The running process.
#[derive(Debug)]
pub struct Backends {
    _process: Process,
    /// Where DynamoDB is.
    pub dynamodb_url: String,
    /// Where WeChat is.
    pub wechat_url: String,
}

impl Backends {
    /// Starts it.
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

/// Is that process, until it is killed.
pub async fn serve() {
    let dynamodb = DynamoDb::start().await;
    let wechat = wechat::serve();
    println!("{READY} {} http://{wechat}", dynamodb.url());
    std::future::pending::<()>().await;
}
