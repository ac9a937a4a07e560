//! What the backend logs while it runs inside the test process.

use std::{
    io::{self, Write},
    panic,
    sync::{Mutex, Once},
};

use crate::logs::Logs;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to capture all log lines of this process, at the level `trace`. Tests that run beside
/// this one write there too: look for your own request or session.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let to_stderr = panic::take_hook();
        let crates = local::FUNCTIONS.iter().map(|(name, _)| *name);
        shared::telemetry::init("trace", crates, || Sink)
            .expect("nothing else logs in a test process");
        // A failing test has to be seen, too.
        let to_log = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            to_log(info);
            to_stderr(info);
        }));
    });
}

/// What was written since [`capture`].
pub fn captured() -> Logs {
    let written = WRITTEN.lock().unwrap();
    Logs::new(
        String::from_utf8_lossy(&written)
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
