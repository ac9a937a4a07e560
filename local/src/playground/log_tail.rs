//! The last lines of this process's log, as it wrote them.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tracing_subscriber::fmt::MakeWriter;

/// A longer line is left out. None of ours is: it is what bounds the memory.
const MAX_LINE: usize = 8 * 1024;

/// The last lines of the log. Clones share them.
#[derive(Clone, Default)]
pub struct LogTail(Arc<Mutex<Tail>>);

#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    /// How many lines were ever kept: the number of the next one.
    next: u64,
}

/// The lines since a moment.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Excerpt {
    /// Each a JSON object, as the log has it.
    pub(super) lines: Vec<String>,
    /// What to ask for next: the number of the line behind these.
    pub(super) next: u64,
    /// How many lines were overwritten before they were asked for.
    pub(super) lost: u64,
}

impl LogTail {
    /// How many lines are kept; each is at most 8 KiB long.
    pub const CAPACITY: usize = 400;

    /// The lines from this number on.
    pub(super) fn since(&self, number: u64) -> Excerpt {
        let tail = self.lock();
        let kept = u64::try_from(tail.lines.len()).unwrap_or(u64::MAX);
        let first = tail.next - kept;
        // A page that is older than this process asks for lines that there are not yet.
        let number = if number > tail.next { 0 } else { number };
        let skipped = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        Excerpt {
            lines: tail.lines.iter().skip(skipped).cloned().collect(),
            next: tail.next,
            lost: first.saturating_sub(number),
        }
    }

    fn keep(&self, line: &str) {
        if line.is_empty() || line.len() > MAX_LINE {
            return;
        }
        let mut tail = self.lock();
        if tail.lines.len() == Self::CAPACITY {
            tail.lines.pop_front();
        }
        tail.lines.push_back(line.to_owned());
        tail.next += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for LogTail {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The log writes each line at once: what is written are whole lines.
impl io::Write for LogTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.keep(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tail(lines: usize) -> LogTail {
        let mut tail = LogTail::default();
        for number in 0..lines {
            let line = format!("{{\"n\":{number}}}\n");
            tail.write_all(line.as_bytes()).unwrap();
        }
        tail
    }

    #[test]
    fn lines_are_told_once() {
        let mut tail = tail(3);
        let first = tail.since(0);
        assert_eq!(first.lines, [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
        assert_eq!(tail.since(first.next).lines, [""; 0]);
        tail.write_all(b"{\"n\":3}\n").unwrap();
        let second = tail.since(first.next);
        assert_eq!(
            (second.lines, second.next, second.lost),
            (vec![r#"{"n":3}"#.to_owned()], 4, 0)
        );
    }

    #[test]
    fn the_oldest_lines_make_room_and_are_counted() {
        let tail = tail(LogTail::CAPACITY + 5);
        let excerpt = tail.since(2);
        assert_eq!(excerpt.lines.len(), LogTail::CAPACITY);
        assert_eq!(excerpt.lines[0], r#"{"n":5}"#);
        assert_eq!(excerpt.lost, 3);
        assert_eq!(tail.since(5).lost, 0);
    }

    #[test]
    fn a_page_of_an_earlier_process_starts_over() {
        assert_eq!(tail(2).since(99).lines.len(), 2);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let mut tail = tail(1);
        let line = "x".repeat(MAX_LINE + 1);
        tail.write_all(line.as_bytes()).unwrap();
        assert_eq!(tail.since(0).lines.len(), 1);
    }

    #[test]
    fn what_is_logged_is_kept_as_json() {
        use tracing_subscriber::layer::SubscriberExt;
        let tail = LogTail::default();
        let subscriber = tracing_subscriber::registry();
        let subscriber = subscriber.with(shared::telemetry::json_lines(tail.clone()));
        tracing::subscriber::with_default(subscriber, || tracing::info!(status = 200, "request"));
        let lines = tail.since(0).lines;
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&line["message"], &line["status"]),
            (&"request".into(), &200.into())
        );
    }
}
