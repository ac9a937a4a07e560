//! Log lines that a person reads in a terminal: one line for each event, a request's with its status
//! in colour. Deployed functions write JSON only.

use std::{
    fmt::{self, Write},
    io::IsTerminal,
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use shared::{clock::Clock, config::Env, telemetry};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, writer::MakeWriterExt},
    registry::LookupSpan,
};

use crate::{
    playground::LogTail,
    settings::{LOG_FORMAT, LogFormat},
};

/// The message of a line that records a request.
const REQUEST: &str = "request";
/// Of a request's id: enough to tell requests apart that are on the screen, from its random end.
const SHORT_ID: usize = 8;
/// What a request's line says without being asked, or what says nothing here: one process serves
/// everything, with its state in memory or with a Redis beside it.
const LEFT_OUT: [&str; 2] = ["cold_start", "redis_ms"];

/// Log lines on standard output, in the format that `LOG_FORMAT` says, and as JSON in `tail`.
#[must_use]
pub fn log_lines<S>(env: &Env, tail: &LogTail) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let stdout = std::io::stdout();
    let is_text = match LOG_FORMAT.read(env) {
        LogFormat::Auto => stdout.is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if !is_text {
        // Each line is made once.
        return Box::new(telemetry::json_lines(std::io::stdout.and(tail.clone())));
    }
    let lines = TextLines {
        is_coloured: AutoStream::choice(&stdout) != ColorChoice::Never,
        time_zone: TimeZone::system(),
    };
    let text = tracing_subscriber::fmt::layer().event_format(lines);
    Box::new(text.and_then(telemetry::json_lines(tail.clone())))
}

/// One line of text for each event.
struct TextLines {
    is_coloured: bool,
    time_zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        writeln!(writer, "{}", self.line(Clock::System.now(), level, fields)?)
    }
}

impl TextLines {
    fn line(&self, now: Timestamp, level: Level, mut fields: Fields) -> Result<String, fmt::Error> {
        let dim = self.style(Style::new().dimmed());
        let time = self.time_zone.to_datetime(now).time();
        let mut line = format!(
            "{dim}{:02}:{:02}:{:02}.{:03}{dim:#} ",
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        );
        let id = fields.take("request_id");
        let message = fields.take("message").unwrap_or_default();
        if message == REQUEST {
            self.write_request(&mut line, &mut fields)?;
        } else {
            let style = self.style(of_level(level));
            write!(line, "{style}{level:<5}{style:#} {message}")?;
        }
        for (name, value) in fields.0 {
            write!(line, " {dim}{name}={dim:#}{value}")?;
        }
        // From the back: an id begins with the time.
        if let Some(id) = id {
            let short = id.char_indices().nth_back(SHORT_ID - 1);
            write!(
                line,
                " {dim}#{}{dim:#}",
                &id[short.map_or(0, |(at, _)| at)..]
            )?;
        }
        Ok(line)
    }

    /// Status, method, route, time, and why it failed.
    fn write_request(&self, line: &mut String, fields: &mut Fields) -> fmt::Result {
        let [status, method, route, latency, reason, cause] =
            ["status", "method", "route", "latency_ms", "reason", "cause"]
                .map(|name| fields.take(name));
        for name in LEFT_OUT {
            fields.take(name);
        }
        fields
            .0
            .retain(|(name, value)| *name != "degraded" || value != "false");
        let status = status.unwrap_or_default();
        let style = self.style(of_status(&status));
        write!(line, "{style}{status:<5}{style:#} ")?;
        write!(line, "{} ", method.unwrap_or_default())?;
        write!(line, "{}", route.as_deref().unwrap_or("(no such route)"))?;
        if let Some(latency) = latency {
            write!(line, " {latency} ms")?;
        }
        if let Some(reason) = reason {
            write!(line, " {style}{reason}{style:#}")?;
        }
        match cause {
            Some(cause) => write!(line, " ({cause})"),
            None => Ok(()),
        }
    }

    fn style(&self, style: Style) -> Style {
        if self.is_coloured {
            style
        } else {
            Style::new()
        }
    }
}

fn of_level(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default().bold(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        _ => Style::new().dimmed(),
    }
}

fn of_status(status: &str) -> Style {
    match status.as_bytes().first() {
        Some(b'5') => AnsiColor::Red.on_default().bold(),
        Some(b'4') => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Green.on_default(),
    }
}

/// The fields of an event as text, in their order.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    /// What clients and servers sent can contain line breaks, or characters that command a terminal.
    fn add(&mut self, field: &Field, text: &str) {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if character.is_control() {
                escaped.extend(character.escape_default());
            } else {
                escaped.push(character);
            }
        }
        self.0.push((field.name(), escaped));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, is_coloured: bool, fields: &[(&'static str, &str)]) -> String {
        let fields = fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let lines = TextLines {
            is_coloured,
            time_zone: TimeZone::UTC,
        };
        let now = "2026-11-26T14:18:59.0359Z".parse().unwrap();
        lines.line(now, level, Fields(fields.collect())).unwrap()
    }

    const REFUSED: [(&str, &str); 10] = [
        ("message", "request"),
        ("request_id", "01a21839-501a-7d56-9830-9b243eb62563"),
        ("method", "POST"),
        ("route", "/api/v1/user/login"),
        ("status", "400"),
        ("latency_ms", "7.4"),
        ("cold_start", "true"),
        ("reason", "code_invalid"),
        ("cause", "WeChat: the code is wrong or expired"),
        ("degraded", "false"),
    ];

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(
            line(Level::INFO, false, &REFUSED),
            "14:18:59.035 400   POST /api/v1/user/login 7.4 ms code_invalid \
             (WeChat: the code is wrong or expired) #3eb62563"
        );
    }

    #[test]
    fn its_status_and_reason_are_coloured() {
        let line = line(Level::INFO, true, &REFUSED);
        for coloured in ["\x1b[33m400  \x1b[0m", "\x1b[33mcode_invalid\x1b[0m"] {
            assert!(line.contains(coloured), "{line:?}");
        }
    }

    #[test]
    fn other_events_have_their_level_and_all_fields() {
        let fields = [("message", "degraded"), ("what", "shared state")];
        assert_eq!(
            line(Level::WARN, false, &fields),
            "14:18:59.035 WARN  degraded what=shared state"
        );
        let fields = [
            ("message", "request"),
            ("status", "404"),
            ("degraded", "true"),
        ];
        assert_eq!(
            line(Level::INFO, false, &fields),
            "14:18:59.035 404    (no such route) degraded=true"
        );
    }
}
