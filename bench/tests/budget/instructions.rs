//! Instructions of a function's release binary, counted by valgrind: unlike time, they are the same
//! on every run, and on every machine with the same build.

use std::{fs, path::Path, process::Command};

use bench::functions::invoke;
use e2e::{binaries, runtime_api::FunctionUnderTest, settings::Settings};
use rustix::process::Signal;

use super::{
    file::{Figure, Tolerance},
    surroundings::{Surroundings, WARM_UP},
};

/// How many requests are counted. A second run counts twice as many: the difference is without the
/// start and the end of the process.
const REQUESTS: usize = 100;

/// Whether valgrind is there.
pub fn can_be_counted() -> bool {
    version("valgrind").is_some()
}

/// What the figures of release builds depend on, besides the code.
pub fn tools() -> Vec<(&'static str, String)> {
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let rustc = version("rustc").expect("rustc is there");
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    let rustc = rustc.split_whitespace().nth(1).unwrap().to_owned();
    let valgrind = version("valgrind").map(|name| name.replace("valgrind-", ""));
    // "cargo-lambda 1.9.2 (67129fc 2026-08-21Z)"
    let second = |name: String| Some(name.split_whitespace().nth(1)?.to_owned());
    let cargo_lambda = version_of("cargo-lambda", &["lambda", "--version"]).and_then(second);
    [("platform", platform), ("rustc", rustc)]
        .into_iter()
        .chain(cargo_lambda.map(|version| ("cargo-lambda", version)))
        .chain(valgrind.map(|version| ("valgrind", version)))
        .collect()
}

fn version(program: &str) -> Option<String> {
    version_of(program, &["--version"])
}

/// What a program says of its version when it is asked like this.
fn version_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The instructions of a warm request.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn measure(request: &str, function: &str) -> Figure {
    let few = count(function, REQUESTS).await;
    let many = count(function, 2 * REQUESTS).await;
    let each = (many - few) / u64::try_from(REQUESTS).unwrap();
    Figure {
        table: request.to_owned(),
        key: "instructions".to_owned(),
        now: each.into(),
        tolerance: Tolerance::BuildPercent(5),
    }
}

/// The instructions of a process that answers this many requests after those that warm it up.
async fn count(function: &str, requests: usize) -> u64 {
    let surroundings = Surroundings::start().await;
    let mut source = surroundings.requests(function, REQUESTS).await;
    let report = tempfile::NamedTempFile::new().unwrap();
    let binary = binaries::deployed(function);
    let process = spawn(&binary, &surroundings.direct, report.path());
    for _ in 0..WARM_UP * REQUESTS + requests {
        invoke(&process, &mut source).await;
    }
    process.process().signal(Signal::TERM);
    process.wait_exit().await;
    instructions(&fs::read_to_string(report.path()).unwrap())
}

fn spawn(binary: &Path, settings: &Settings, report: &Path) -> FunctionUnderTest {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(format!("--log-file={}", report.display()));
    FunctionUnderTest::spawn_under(valgrind, binary, settings.variables())
}

/// The figure in cachegrind's report: `==1== I   refs:      12,345,678`.
fn instructions(report: &str) -> u64 {
    let line = report.lines().find(|line| line.contains("refs:"));
    let line = line.unwrap_or_else(|| panic!("no count of instructions in {report:?}"));
    let digits: String = line
        .split("refs:")
        .nth(1)
        .unwrap()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}

#[test]
fn the_count_is_read_from_the_report() {
    let report = "==7== \n==7== I   refs:      1,234,567\n";
    assert_eq!(instructions(report), 1_234_567);
}
