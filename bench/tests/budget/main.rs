//! What a request costs, compared with `bench/budget.toml`, so that a feature pays visibly.
//!
//! The debug build is compared by every `make test`: allocations, what goes over the wire, what is
//! logged. `make budget` also compares the release build: sizes and instructions.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod allocations;
mod file;
mod instructions;
mod starts;
mod surroundings;
mod wire;

use std::{fs, time::Duration};

use e2e::binaries;
use file::{Budget, Figure, Tolerance};

/// Each request: its table in the file, and the function that answers it.
const REQUESTS: [(&str, &str); 4] = [
    ("GET /health", "health"),
    ("GET /api/v1/user/info", "user-info"),
    ("POST /api/v1/user/login", "login"),
    ("POST /api/v1/user/refresh", "token"),
];

#[test]
fn a_request_allocates_sends_and_logs_what_is_budgeted() {
    let mut figures = Vec::new();
    for (request, function) in REQUESTS {
        figures.extend(allocations::measure(request, function));
        figures.extend(wire::measure(request, function));
    }
    Budget::open().compare(&figures);
}

#[test]
#[ignore = "needs release builds, which take minutes: `make budget`"]
fn a_release_build_is_as_large_and_as_busy_as_is_budgeted() {
    let folders = fs::read_dir(binaries::workspace().join("functions")).unwrap();
    let name = |folder: fs::DirEntry| folder.file_name().into_string().unwrap();
    let mut functions: Vec<String> = folders.map(|folder| name(folder.unwrap())).collect();
    functions.sort();
    let mut budget = Budget::open();
    budget.note_tools(&instructions::tools());
    let mut figures: Vec<Figure> = functions
        .iter()
        .map(|function| Figure {
            table: "binary-size".to_owned(),
            key: function.clone(),
            now: (binaries::deployed(function).metadata().unwrap().len() / 1024).into(),
            tolerance: Tolerance::BuildPercent(2),
        })
        .collect();
    if instructions::can_be_counted() {
        for (request, function) in REQUESTS {
            figures.push(instructions::measure(request, function));
        }
    } else {
        println!("valgrind is not installed here: instructions are not compared");
    }
    budget.compare(&figures);
}

/// A limit, not a figure: times are those of the machine.
#[test]
#[ignore = "needs release builds, which take minutes: `make budget`"]
fn a_function_starts_within_its_limit() {
    let limit = Duration::from_millis(Budget::open().limit("start-ms"));
    for (_, function) in REQUESTS {
        let time = starts::measure(&binaries::deployed(function));
        println!("{function} starts in {time:?}, of {limit:?}");
        assert!(time <= limit, "{function} takes {time:?} to start");
    }
}
