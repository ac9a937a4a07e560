//! Each function's binary over the Lambda Runtime API.

mod measure;

use e2e::{binaries, settings::Settings};
use measure::Figures;
pub use measure::{invoke, invoke_and_read};

use crate::{
    requests::{
        Requests,
        accounts::{self, Administrator},
    },
    services::Services,
    traffic::USERS,
};

/// The functions in the order of the table, after a baseline that does nothing.
const FUNCTIONS: [&str; 5] = ["hello-world", "health", "user-info", "login", "token"];

/// Measures a function and prints its row.
async fn measure(function: &str, settings: &Settings, mut requests: Requests) {
    let binary = binaries::function(function);
    let figures = Figures::measure(&binary, settings, &mut requests).await;
    println!("| {function} | {} | {figures} |", requests.title());
}

/// Measures all functions and prints a Markdown table.
pub async fn run() {
    let services = Services::start().await;
    println!(
        "| function | request | binary | start to first `/next` | start to first answer | warm | CPU | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let login = binaries::function("login");
    for function in FUNCTIONS {
        let requests = Requests::of(function, &login, &services.settings, USERS).await;
        measure(function, &services.settings, requests).await;
    }
    let administrator = Administrator::log_in(&login, &services.settings).await;
    let settings = &administrator.settings;
    measure("config", settings, administrator.config().await).await;
    measure("users", settings, administrator.user_change()).await;
    let deletions = accounts::deletions(&login, settings, measure::requests()).await;
    measure("account", settings, deletions).await;
    let (merges, with_merging) = accounts::merges(&login, settings, measure::requests()).await;
    measure("login", &with_merging, merges).await;
    let list = administrator.user_list(&services.table()).await;
    measure("users", settings, list).await;
    println!();
    println!("{}", measure::LEGEND);
    println!();
}
