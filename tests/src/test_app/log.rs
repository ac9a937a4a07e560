//! What the backend logs while it runs inside the test process.

use std::{
    io::{self, Write},
    panic,
    sync::{Mutex, Once},
};

use crate::logs::Logs;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The log of this process from some moment on.
#[derive(Debug)]
pub struct LogCapture {
    /// Where in [`WRITTEN`] it begins: at the start of a line, because each line is one write.
    start: usize,
}

/// Captures all log lines of this process from now on, at the level `trace`. Tests that run in
/// parallel write there too: look for your own request or session.
pub fn capture() -> LogCapture {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let to_stderr = panic::take_hook();
        let crates = local::FUNCTIONS.iter().map(|(name, _)| *name);
        let crates = crates.chain(local::WORKERS.iter().map(|(name, _)| *name));
        let lines = shared::telemetry::json_lines(|| Sink);
        shared::telemetry::init("trace".parse().unwrap(), crates, lines)
            .expect("nothing else logs in a test process");
        // A failing test has to be seen, too.
        let to_log = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            to_log(info);
            to_stderr(info);
        }));
    });
    LogCapture::from_now()
}

impl LogCapture {
    /// A view that begins now; empty until [`capture`] was called.
    pub(super) fn from_now() -> Self {
        Self {
            start: WRITTEN.lock().unwrap().len(),
        }
    }

    /// What was written since the view began.
    pub fn logs(&self) -> Logs {
        let written = WRITTEN.lock().unwrap();
        Logs::new(
            String::from_utf8_lossy(&written[self.start..])
                .lines()
                .map(str::to_owned)
                .collect(),
        )
    }
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
