//! The file with the budget, and what is compared with it.

use std::{
    fmt, fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use e2e::binaries::workspace;
use toml_edit::{Array, DocumentMut, Item};

/// Where the file notes what the figures of the release build were made with.
const MADE_WITH: &str = "made-with";

/// One figure.
pub struct Figure {
    pub table: String,
    pub key: String,
    pub now: Value,
    pub tolerance: Tolerance,
}

/// The value of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    List(Vec<String>),
}

/// By how much a figure may differ from its budget, up or down.
#[derive(Clone, Copy)]
pub enum Tolerance {
    Exact,
    Percent(u64),
    /// So much, or one.
    PercentOrOne(u64),
    /// So much; where other tools than the budget's made the build, it is shown and never fails.
    BuildPercent(u64),
}

/// The file, opened by one test at a time.
pub struct Budget {
    document: DocumentMut,
    updates: bool,
    /// Whether this machine builds with other tools than the budget's; a description of both.
    other_tools: Option<String>,
    _only: MutexGuard<'static, ()>,
}

impl Budget {
    /// Reads the file. With `UPDATE=1` it will be written instead of compared.
    pub fn open() -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        // A test that failed left the file whole.
        let only = ONE_AT_A_TIME.lock();
        let text = fs::read_to_string(path()).unwrap();
        Self {
            document: text.parse().unwrap(),
            updates: updates(),
            other_tools: None,
            _only: only.unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// What the release build was made with here, by name and version.
    pub fn note_tools(&mut self, tools: &[(&str, String)]) {
        let table = &mut self.document[MADE_WITH];
        if self.updates {
            for (name, version) in tools {
                table[name] = toml_edit::value(version);
            }
            return;
        }
        if table.as_table().is_none_or(toml_edit::Table::is_empty) {
            // Then it has no such figures either, and each one fails.
            return;
        }
        let noted = |name: &str| table.get(name).and_then(Item::as_str).unwrap_or("unknown");
        let others: Vec<_> = tools
            .iter()
            .filter(|(name, version)| noted(name) != version)
            .map(|(name, version)| format!("{name} {version} instead of {}", noted(name)))
            .collect();
        self.other_tools = (!others.is_empty()).then(|| others.join(", "));
    }

    /// One of the limits, which are never updated.
    pub fn limit(&self, key: &str) -> u64 {
        let limit = Value::read(&self.document["release"][key]);
        let Some(Value::Number(limit)) = limit else {
            panic!("bench/budget.toml has no {key} under [release]");
        };
        limit
    }

    /// Compares all figures, or writes them to the file.
    pub fn compare(mut self, figures: &[Figure]) {
        if self.updates {
            for Figure {
                table, key, now, ..
            } in figures
            {
                self.document[table][key] = now.into();
            }
            fs::write(path(), self.document.to_string()).unwrap();
            return;
        }
        let rows: Vec<_> = figures.iter().map(|figure| self.row(figure)).collect();
        let table = table(&rows);
        println!("{table}");
        if let Some(others) = &self.other_tools {
            println!(
                "This build was made with {others}: sizes and instructions can't be compared."
            );
        }
        let failed = rows.iter().filter(|row| row.verdict.is_some()).count();
        assert!(
            failed == 0,
            "{failed} figures are not those of bench/budget.toml:\n{table}\n\
             A change that is meant, for better or worse, changes the file too: `make budget UPDATE=1` \
             (figures of debug builds alone, in seconds: `UPDATE=1 cargo test --test budget`)."
        );
    }

    fn row(&self, figure: &Figure) -> Row {
        let budget = self
            .document
            .get(&figure.table)
            .and_then(|table| table.get(&figure.key))
            .and_then(Value::read);
        let excused =
            matches!(figure.tolerance, Tolerance::BuildPercent(_)) && self.other_tools.is_some();
        let verdict = match &budget {
            _ if excused => None,
            None => Some("not budgeted".to_owned()),
            Some(budget) => figure.tolerance.verdict(budget, &figure.now),
        };
        Row {
            name: format!("{}: {}", figure.table, figure.key),
            change: budget
                .as_ref()
                .map_or_else(String::new, |budget| change(budget, &figure.now)),
            budget: budget.map_or_else(|| "–".to_owned(), |value| value.to_string()),
            now: figure.now.to_string(),
            verdict,
        }
    }
}

fn path() -> PathBuf {
    workspace().join("bench/budget.toml")
}

#[expect(
    clippy::disallowed_methods,
    reason = "how this test runs is no setting of the project"
)]
fn updates() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty())
}

impl Tolerance {
    /// What is wrong with `now`, if anything.
    fn verdict(self, budget: &Value, now: &Value) -> Option<String> {
        let (percent, least) = match self {
            Self::Exact => (0, 0),
            Self::Percent(percent) | Self::BuildPercent(percent) => (percent, 0),
            Self::PercentOrOne(percent) => (percent, 1),
        };
        match (budget, now) {
            (Value::Number(budget), Value::Number(now)) => {
                let may_differ = (budget * percent / 100).max(least);
                let allowed = match self {
                    Self::PercentOrOne(percent) => format!("±{percent} % or 1"),
                    _ => format!("±{percent} %"),
                };
                (now.abs_diff(*budget) > may_differ).then(|| {
                    let word = if now > budget { "worse" } else { "better" };
                    format!("**{word}** than {allowed}")
                })
            }
            _ => (budget != now).then(|| "**different**".to_owned()),
        }
    }
}

impl Value {
    fn read(item: &Item) -> Option<Self> {
        if let Some(number) = item.as_integer() {
            return number.try_into().ok().map(Self::Number);
        }
        let words = item.as_array()?.iter();
        let words = words.map(|word| word.as_str().map(str::to_owned));
        words.collect::<Option<_>>().map(Self::List)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number.try_into().unwrap())
    }
}

impl From<Vec<String>> for Value {
    fn from(words: Vec<String>) -> Self {
        Self::List(words)
    }
}

impl From<&Value> for Item {
    fn from(value: &Value) -> Self {
        match value {
            Value::Number(number) => toml_edit::value(i64::try_from(*number).unwrap()),
            Value::List(words) => toml_edit::value(words.iter().collect::<Array>()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::List(words) if words.is_empty() => f.write_str("nothing"),
            Self::List(words) => f.write_str(&words.join(", ")),
        }
    }
}

/// One line of the table.
struct Row {
    name: String,
    budget: String,
    now: String,
    change: String,
    /// What is wrong with it.
    verdict: Option<String>,
}

/// The difference in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn change(budget: &Value, now: &Value) -> String {
    match (budget, now) {
        (Value::Number(budget), Value::Number(now)) if budget != now => {
            let percent = (*now as f64 - *budget as f64) / (*budget).max(1) as f64 * 100.0;
            format!("{percent:+.1} %")
        }
        _ => String::new(),
    }
}

/// The rows as Markdown.
fn table(rows: &[Row]) -> String {
    let head = "| figure | budget | now | difference | |\n|---|--:|--:|--:|---|".to_owned();
    let lines = rows.iter().map(|row| {
        let Row {
            name,
            budget,
            now,
            change,
            verdict,
        } = row;
        let verdict = verdict.as_deref().unwrap_or_default();
        format!("| {name} | {budget} | {now} | {change} | {verdict} |")
    });
    let lines: Vec<_> = [head].into_iter().chain(lines).collect();
    lines.join("\n")
}

#[test]
fn a_figure_may_not_be_much_worse_nor_much_better() {
    let fails = |tolerance: Tolerance, now: u64| {
        tolerance
            .verdict(&Value::Number(1_000), &Value::Number(now))
            .is_some()
    };
    for (now, expected) in [(979, true), (980, false), (1_020, false), (1_021, true)] {
        assert_eq!(fails(Tolerance::Percent(2), now), expected, "{now}");
    }
    assert!(fails(Tolerance::Exact, 999));
    let small = |now: u64| Tolerance::PercentOrOne(2).verdict(&Value::Number(10), &now.into());
    assert!(small(11).is_none());
    assert!(small(12).is_some());
}
