//! The load test in its short form, with debug builds: its report holds the run's numbers and loads
//! nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

/// Runs `bench load short` and returns its page and its figures.
fn report() -> (String, Value) {
    // Builds the functions and `server`, which a debug build of `bench` finds beside itself.
    e2e::binaries::path("login");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(e2e::binaries::path("bench"))
        .args(["load", "short", "--folder"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = |file: &str| fs::read_to_string(Path::new(folder.path()).join(file)).unwrap();
    let figures = serde_json::from_str(&text("report.json")).unwrap();
    (text("index.html"), figures)
}

/// The row of a table that begins with this cell, in the section of a target.
fn row<'a>(page: &'a str, target: &str, kind: &str) -> &'a str {
    let section = page.split(&format!("<h2>{target}</h2>")).nth(1).unwrap();
    let from = section.find(&format!("<tr><td>{kind}</td>")).unwrap();
    section[from..].lines().next().unwrap()
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "a release build measures functions as they are deployed: `make load`"
)]
fn the_report_holds_the_numbers_of_the_run_and_loads_nothing() {
    let (page, figures) = report();
    let runs = figures["runs"].as_array().unwrap();
    let targets: Vec<_> = runs
        .iter()
        .map(|run| run["target"].as_str().unwrap())
        .collect();
    assert_eq!(targets, ["server", "functions"]);
    for run in runs {
        let target = run["target"].as_str().unwrap();
        for kind in ["login", "read", "refresh", "deletion"] {
            let of_kind = &run["kinds"][kind];
            let (sent, failed) = (
                of_kind["sent"].as_u64().unwrap(),
                of_kind["failed"].as_u64().unwrap(),
            );
            assert!(sent > failed, "{target}: no {kind} succeeded: {of_kind}");
            let row = row(&page, target, kind);
            assert!(row.contains(&format!("<td>{sent}</td>")), "{row}");
            for percentile in ["medianMs", "p90Ms", "p99Ms", "p999Ms", "longestMs"] {
                let ms = of_kind[percentile].as_f64().unwrap();
                assert!(ms > 0.0, "{percentile} of {kind}: {of_kind}");
                assert!(row.contains(&format!("<td>{ms:.1}</td>")), "{ms}: {row}");
            }
            let reasons = run["errors"].as_array().unwrap().iter();
            let counted = reasons.filter(|error| error["kind"] == kind);
            let counted: u64 = counted.map(|error| error["count"].as_u64().unwrap()).sum();
            assert_eq!(counted, failed, "errors of {kind} by reason");
        }
        for error in run["errors"].as_array().unwrap() {
            let reason = error["reason"].as_str().unwrap();
            assert!(page.contains(&format!("<code>{reason}</code>")), "{reason}");
        }
    }
    // The same load for both.
    assert_eq!(
        runs[0]["kinds"]["read"]["sent"],
        runs[1]["kinds"]["read"]["sent"]
    );
    assert!(
        !runs[0]["redis"].as_array().unwrap().is_empty(),
        "no keys in Redis"
    );
    assert_all_of_the_burst_came(&figures["burst"]);
    assert_loads_nothing(&page);
}

/// No event is lost, and the receiver was never made to take more than its rate.
fn assert_all_of_the_burst_came(burst: &Value) {
    let of = |name: &str| burst[name].as_u64().unwrap();
    assert_eq!(of("delivered"), of("events"), "{burst}");
    assert!(
        (1..=of("perSecond")).contains(&of("busiestSecond")),
        "{burst}"
    );
    let after = |name: &str| burst[name].as_f64().unwrap();
    assert!(after("takenAfterSeconds") > 0.0, "{burst}");
    assert!(
        after("deliveredAfterSeconds") >= after("takenAfterSeconds"),
        "{burst}"
    );
}

fn assert_loads_nothing(page: &str) {
    assert!(
        page.contains("default-src 'none'"),
        "no policy against loading"
    );
    let loads = [
        "src=", "href=", "url(", "@import", "<link", "<script", "<img", "<iframe", "<object",
    ];
    for word in loads {
        assert!(!page.contains(word), "{word} in the report");
    }
    let urls = page.match_indices("http").map(|(at, _)| &page[at..]);
    for url in urls.filter(|url| !url.starts_with("http-equiv")) {
        assert!(
            url.starts_with("http://www.w3.org/2000/svg\""),
            "{}",
            &url[..40]
        );
    }
    // Plots, in colours that differ by light and dark.
    assert!(page.matches("<svg").count() >= 10, "plots are missing");
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("currentColor"));
}
