//! The report as one HTML file that loads nothing.

use std::fmt::Write;

use crate::{burst::Course, plot::Plot};

use super::{
    arrivals::{Kind, Mix},
    plots,
    record::{Figures, Run, Runs},
};

/// A plot's width: on a phone it shrinks a little, and its letters with it.
const PLOT_WIDTH: u32 = 440;

/// Nothing may be loaded, whatever the page says.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Load test</title>
<style>
:root { --ground: #fff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --bad: #c62828 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --text: #e6edf3; --soft: #9198a1; --line: #3d444d; --bad: #ff7b72 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
  background: var(--ground); color: var(--text) }
h1 { font-size: 1.5rem; margin: 0 } h2 { margin: 2rem 0 .5rem; font-size: 1.25rem }
p { margin: .5rem 0 } .soft { color: var(--soft); font-size: .875rem }
.scroll { overflow-x: auto; margin: .5rem 0 }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { color: var(--soft); font-weight: 600 } th:first-child, td:first-child { text-align: left; padding-left: 0 }
td:first-child { white-space: normal; min-width: 6rem }
.bad { color: var(--bad); font-weight: 600 } code { font-size: .875em }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem;
  margin-top: 1rem; color: var(--soft) }
svg { width: 100%; height: auto; display: block }
</style>
</head>
<body>
<main>
<h1>Load test</h1>
"#;

/// The whole report.
pub fn html(heading: &str, mix: &Mix, runs: &[Run], burst: Option<&Course>) -> String {
    let mut page = HEAD.to_owned();
    write!(
        page,
        "<p class=\"soft\">{}</p>\n<p>{}.</p>\n<p class=\"soft\">Requests arrive when they are due, whether earlier ones are \
         answered or not, and a latency counts from when its request was due: what waited behind a slow answer shows. \
         Percentiles are those of requests that succeeded.</p>\n",
        escape(heading),
        escape(&mix.describe())
    )
    .unwrap();
    for run in runs {
        section(&mut page, run, mix);
    }
    if let Some(burst) = burst {
        burst_section(&mut page, burst);
    }
    page + "</main>\n</body>\n</html>\n"
}

fn section(page: &mut String, run: &Run, mix: &Mix) {
    writeln!(page, "<h2>{}</h2>", escape(&run.name)).unwrap();
    latencies(page, run, mix);
    let late = run.lateness();
    writeln!(page, "<p class=\"soft\">The generator sent 99 of 100 requests at most {late:.1} ms late, which the latencies include.</p>").unwrap();
    errors(page, run);
    instances(page, run);
    page.push_str("<div class=\"plots\">\n");
    for plot in plots::all(run, mix) {
        draw(page, &plot, &run.name);
    }
    page.push_str("</div>\n");
    memory(page, run);
}

fn draw(page: &mut String, plot: &Plot, of: &str) {
    let svg = plot.svg(PLOT_WIDTH).expect("a plot");
    let title = plot.panels[0].title;
    let label = format!("<svg role=\"img\" aria-label=\"{title}: {}\"", escape(of));
    // The plots' grey becomes the page's, which differs by light and dark.
    let svg = svg.replace("#7F7F7F", "currentColor");
    page.push_str(&svg.replacen("<svg", &label, 1));
}

fn burst_section(page: &mut String, burst: &Course) {
    page.push_str(
        "<h2>burst</h2>\n<p>WeChat pushes events at once; a receiver of webhooks takes so many requests a second and \
         refuses others. What was taken waits in the queue.</p>\n",
    );
    let rows = burst.rows().into_iter();
    let rows = rows.map(|(what, figure)| vec![what[0].to_owned(), figure]);
    table(page, "burst", &["what", "figure"], rows);
    page.push_str("<div class=\"plots\">\n");
    draw(page, &burst.plot(), "burst");
    page.push_str("</div>\n");
}

/// A table that can be scrolled sideways, also with keys. The first column's cells name the rows.
fn table(
    page: &mut String,
    label: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) {
    write!(
        page,
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table>\n<tr>"
    )
    .unwrap();
    for column in columns {
        write!(page, "<th scope=\"col\">{column}</th>").unwrap();
    }
    page.push_str("</tr>\n");
    for row in rows {
        writeln!(page, "<tr><td>{}</td></tr>", row.join("</td><td>")).unwrap();
    }
    page.push_str("</table></div>\n");
}

fn latencies(page: &mut String, run: &Run, mix: &Mix) {
    let columns = [
        "request",
        "sent",
        "failed",
        "a second",
        "median, ms",
        "p90",
        "p99",
        "p99.9",
        "longest",
        "bytes",
    ];
    let rows = Kind::ALL.into_iter().map(|kind| {
        let Figures {
            sent,
            failed,
            rate,
            latency,
            bytes,
        } = run.figures(kind, mix);
        let failed = match failed {
            0 => "0".to_owned(),
            failed => format!("<span class=\"bad\">{failed}</span>"),
        };
        let mut row = vec![
            kind.name().to_owned(),
            sent.to_string(),
            failed,
            format!("{rate:.1}"),
        ];
        row.extend(latency.map(|ms| format!("{ms:.1}")));
        row.push(format!("{bytes:.0}"));
        row
    });
    table(page, &format!("latencies: {}", run.name), &columns, rows);
}

fn errors(page: &mut String, run: &Run) {
    let errors = run.errors();
    if errors.is_empty() {
        page.push_str("<p>No request failed.</p>\n");
        return;
    }
    let rows = errors.into_iter().map(|((kind, reason), count)| {
        vec![
            kind.to_owned(),
            format!("<code>{}</code>", escape(reason)),
            count.to_string(),
        ]
    });
    let label = format!("failures: {}", run.name);
    table(page, &label, &["failed", "reason", "count"], rows);
}

fn instances(page: &mut String, run: &Run) {
    if run.instances.is_empty() {
        return;
    }
    let instances = run
        .instances
        .iter()
        .map(|(name, count)| format!("{count} of <code>{name}</code>"));
    let instances = instances.collect::<Vec<_>>().join(", ");
    writeln!(
        page,
        "<p>Instances started, those for the people before the load too: {instances}.</p>"
    )
    .unwrap();
    let columns = [
        "request",
        "cold starts",
        "median with one, ms",
        "longest",
        "p99 without, ms",
        "warm function: median, ms",
        "p99",
    ];
    let rows = Kind::ALL.into_iter().filter_map(|kind| {
        let Runs {
            cold,
            cold_latency,
            warm_p99,
            warm_duration,
        } = run.runs(kind)?;
        let mut row = vec![kind.name().to_owned(), cold.to_string()];
        let times = cold_latency
            .into_iter()
            .chain([warm_p99])
            .chain(warm_duration);
        // Zero is what a percentile of nothing is.
        row.extend(times.map(|ms| match ms {
            0.0 => "–".to_owned(),
            ms => format!("{ms:.1}"),
        }));
        Some(row)
    });
    table(page, "what the functions did", &columns, rows);
}

fn memory(page: &mut String, run: &Run) {
    if run.memory.is_empty() {
        return;
    }
    page.push_str("<p>Keys in Redis after the load:</p>\n");
    let rows = run.memory.iter().map(|kind| {
        vec![
            format!("<code>{}</code>", escape(&kind.name)),
            kind.count.to_string(),
            format!("{:.0}", kind.bytes),
            kind.ttl.to_string(),
        ]
    });
    let columns = ["key", "count", "bytes each", "expires within, s"];
    table(page, "keys in Redis", &columns, rows);
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
