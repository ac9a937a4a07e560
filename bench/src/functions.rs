//! Each function's binary over the Lambda Runtime API.

mod measure;

use e2e::binaries::beside_this_program;
use measure::Figures;
pub use measure::invoke;

use crate::{requests::Requests, services::Services, traffic::USERS};

/// The functions in the order of the table, after a baseline that does nothing.
const FUNCTIONS: [&str; 5] = ["hello-world", "health", "user-info", "login", "token"];

/// Measures all functions and prints a Markdown table.
pub async fn run() {
    let services = Services::start().await;
    println!(
        "| function | request | binary | start to first `/next` | start to first answer | warm | CPU | memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for function in FUNCTIONS {
        let binary = beside_this_program(function);
        let login = beside_this_program("login");
        let mut requests = Requests::of(function, &login, &services.settings, USERS).await;
        let figures = Figures::measure(&binary, &services.settings, &mut requests).await;
        println!("| {function} | {} | {figures} |", requests.title());
    }
    println!();
    println!("{}", measure::LEGEND);
    println!();
}
