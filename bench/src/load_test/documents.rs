//! What docs/ says of the load test: written by a full run with the release build.

use std::{fmt::Write, fs, path::Path};

use super::{
    arrivals::{Kind, Mix},
    record::{Figures, Run},
};
use crate::burst::Course;

/// The pages with the latencies, and those with the burst; each in English and in Chinese.
const LOADS: [&str; 2] = ["docs/scale.md", "docs/zh/scale.md"];
const BURSTS: [&str; 2] = ["docs/webhooks.md", "docs/zh/webhooks.md"];
/// The plot of the burst, in docs/.
const PLOT: &str = "performance/burst.svg";

/// Writes both, in this workspace.
pub fn update(workspace: &Path, heading: &str, mix: &Mix, runs: &[Run], burst: &Course) {
    let heads = [
        "| target | request | sent | failed | median, ms | p90 | p99 | p99.9 | longest |",
        "| 对象 | 请求 | 发送 | 失败 | 中位数（毫秒） | p90 | p99 | p99.9 | 最长 |",
    ];
    for (page, head) in LOADS.into_iter().zip(heads) {
        let table = loads(heading, head, mix, runs);
        replace(&workspace.join(page), "load", &table);
    }
    let plot = workspace.join("docs").join(PLOT);
    burst.plot().draw(&plot).expect("a plot");
    for (language, page) in BURSTS.into_iter().enumerate() {
        let (to_docs, title) = [
            ("", "Taken, delivered, waiting"),
            ("../", "已接收、已投递、等待中"),
        ][language];
        let mut text = format!("{heading}\n\n| | |\n|---|--:|\n");
        for (what, figure) in burst.rows() {
            writeln!(text, "| {} | {figure} |", what[language]).expect("a string");
        }
        write!(text, "\n![{title}]({to_docs}{PLOT})\n").expect("a string");
        replace(&workspace.join(page), "burst", &text);
    }
}

fn loads(heading: &str, head: &str, mix: &Mix, runs: &[Run]) -> String {
    let mut text = format!("{heading}\n\n{head}\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for run in runs {
        for kind in Kind::ALL {
            let Figures {
                sent,
                failed,
                latency,
                ..
            } = run.figures(kind, mix);
            let latency = latency.map(|ms| format!("{ms:.1}")).join(" | ");
            let (target, kind) = (&run.name, kind.name());
            writeln!(
                text,
                "| `{target}` | {kind} | {sent} | {failed} | {latency} |"
            )
            .expect("a string");
        }
    }
    text
}

/// Puts a text between `<!-- NAME -->` and `<!-- /NAME -->` of a page.
fn replace(page: &Path, name: &str, text: &str) {
    let mut content = fs::read_to_string(page).expect("the page");
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = content.find(&open).expect("the mark of the place") + open.len();
    let to = content.find(&close).expect("its end");
    content.replace_range(from..to, text);
    fs::write(page, content).expect("the page");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
        let page = tempfile::NamedTempFile::new().unwrap();
        fs::write(page.path(), "before\n<!-- a -->\nold\n<!-- /a -->\nafter\n").unwrap();
        replace(page.path(), "a", "new\n");
        let content = fs::read_to_string(page.path()).unwrap();
        assert_eq!(content, "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n");
    }

    #[test]
    fn every_page_has_its_marks() {
        for (pages, name) in [(LOADS, "load"), (BURSTS, "burst")] {
            for page in pages {
                let content = fs::read_to_string(e2e::binaries::workspace().join(page)).unwrap();
                for mark in [format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n")] {
                    assert_eq!(content.matches(&mark).count(), 1, "{mark} in {page}");
                }
            }
        }
    }
}
