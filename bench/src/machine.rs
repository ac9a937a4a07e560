//! When, of what and where figures were measured.

use std::{fs, process::Command, thread};

use e2e::binaries::workspace;
use shared::clock::Clock;

/// One line with the date, the git tree and the machine.
#[must_use]
pub fn heading() -> String {
    let date = Clock::System.now().to_string();
    let date = date.split('T').next().unwrap_or_default();
    format!("Measured on {date}, {}, on {}.", tree(), machine())
}

fn tree() -> String {
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "outside of git".to_owned();
    };
    let state = match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => "clean",
        _ => "with uncommitted changes",
    };
    format!("commit {commit} ({state})")
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let plural = if cores == 1 { "" } else { "s" };
    let model = model().unwrap_or_else(|| "an unknown processor".to_owned());
    format!("{cores} core{plural} of {model}, {}", std::env::consts::OS)
}

fn model() -> Option<String> {
    let Ok(text) = fs::read_to_string("/proc/cpuinfo") else {
        // macOS.
        return output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]));
    };
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(arguments).current_dir(workspace()))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
