//! What a query finds in lines.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::query::{Aggregate, Command, Comparison, Condition, Function, Group, Operand, Query};

/// A line, or a row of a result: values by field.
pub type Row = Map<String, Value>;

/// A line as Insights sees it: the members of its JSON object, and what AWS adds.
pub fn line(text: &str, group: &str, stream: &str, time: Timestamp) -> Row {
    let members = serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut row = members.as_object().cloned().unwrap_or_default();
    for (name, value) in [
        ("@message", text.to_owned()),
        ("@log", format!("111122223333:{group}")),
        ("@logStream", stream.to_owned()),
        ("@timestamp", time.to_string()),
    ] {
        row.insert(name.to_owned(), json!(value));
    }
    row
}

impl Query {
    /// The rows that the console shows.
    pub fn run(&self, lines: &[Row]) -> Vec<Row> {
        let mut rows = lines.to_vec();
        let mut shown = None;
        for command in &self.0 {
            match command {
                Command::Fields(names) => shown = Some(names.iter().collect::<BTreeSet<_>>()),
                Command::Filter(condition) => rows.retain(|row| condition.holds(row)),
                Command::Stats(aggregates, groups) => {
                    rows = stats(&rows, aggregates, groups);
                    shown = None;
                }
                Command::Sort(column, descending) => {
                    rows.sort_by(|a, b| {
                        let order = order(a.get(column), b.get(column));
                        if *descending { order.reverse() } else { order }
                    });
                }
                Command::Limit(count) => rows.truncate(*count),
            }
        }
        if let Some(shown) = shown {
            for row in &mut rows {
                row.retain(|name, _| shown.contains(&name));
            }
        }
        rows
    }
}

impl Condition {
    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(row)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(row)),
            Self::Not(part) => !part.holds(row),
            Self::IsPresent(name) => row.get(name).is_some_and(|value| !value.is_null()),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.value(row), right.value(row));
                // What is not there compares with nothing.
                left.zip(right)
                    .is_some_and(|(left, right)| comparison.holds(&left, &right))
            }
            Self::Like(operand, texts) => operand.value(row).is_some_and(|value| {
                let value = text(&value);
                texts.iter().any(|text| value.contains(text))
            }),
            Self::In(operand, values) => operand.value(row).is_some_and(|value| {
                let mut values = values.iter().filter_map(|one| one.value(row));
                values.any(|one| Comparison::Equal.holds(&value, &one))
            }),
        }
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = compare(left, right);
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Operand {
    fn value(&self, row: &Row) -> Option<Value> {
        match self {
            Self::Field(name) => row.get(name).filter(|value| !value.is_null()).cloned(),
            Self::Text(text) => Some(json!(text)),
            Self::Number(number) => Some(json!(number)),
            Self::Coalesce(operands) => operands.iter().find_map(|one| one.value(row)),
        }
    }
}

/// What two values are to each other: numbers if both can be read as one, else texts.
fn compare(left: &Value, right: &Value) -> Ordering {
    match number(left).zip(number(right)) {
        Some((left, right)) => left.total_cmp(&right),
        None => text(left).cmp(&text(right)),
    }
}

/// Rows without a value come last.
fn order(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => compare(left, right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Fails at what Insights shows in a way that AWS does not document.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other}: compare it as text, with @message like …"),
    }
}

fn stats(rows: &[Row], aggregates: &[Aggregate], groups: &[Group]) -> Vec<Row> {
    let mut grouped = BTreeMap::<Vec<Option<String>>, Vec<&Row>>::new();
    for row in rows {
        let key = groups.iter().map(|group| group.value(row)).collect();
        grouped.entry(key).or_default().push(row);
    }
    let row = |(key, rows): (Vec<Option<String>>, Vec<&Row>)| {
        let by = groups.iter().zip(key);
        let by = by.filter_map(|(group, value)| Some((group.name(), json!(value?))));
        let values = aggregates
            .iter()
            .filter_map(|one| Some((one.name.clone(), json!(one.value(&rows)?))));
        by.chain(values).collect()
    };
    grouped.into_iter().map(row).collect()
}

impl Group {
    fn value(&self, row: &Row) -> Option<String> {
        match self {
            Self::Field(name) => row.get(name).filter(|value| !value.is_null()).map(text),
            Self::Period(seconds) => {
                let time: Timestamp = row["@timestamp"].as_str().unwrap().parse().unwrap();
                let start = time.as_second() / seconds * seconds;
                Some(Timestamp::from_second(start).unwrap().to_string())
            }
        }
    }
}

impl Aggregate {
    #[expect(clippy::cast_precision_loss, reason = "few lines")]
    fn value(&self, rows: &[&Row]) -> Option<f64> {
        if self.field == "*" {
            return Some(rows.len() as f64);
        }
        let present = rows.iter().filter_map(|row| row.get(&self.field));
        if matches!(self.function, Function::Count) {
            return Some(present.count() as f64);
        }
        let value = |value: &Value| {
            number(value).unwrap_or_else(|| panic!("{}: {value} is no number", self.field))
        };
        let mut values: Vec<_> = present.map(value).collect();
        values.sort_by(f64::total_cmp);
        let sum = || values.iter().sum::<f64>();
        match self.function {
            Function::Sum => Some(sum()),
            Function::Average => (!values.is_empty()).then(|| sum() / values.len() as f64),
            Function::Least => values.first().copied(),
            Function::Most => values.last().copied(),
            Function::Percentile(percent) => percentile(&values, percent),
            Function::Count => None,
        }
    }
}

/// By the nearest rank.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few lines"
)]
fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(query: &str) -> Value {
        let lines = [
            r#"{"message":"request","status":"503","latency_ms":5,"route":"/a","cause":"WeChat: busy"}"#,
            r#"{"message":"request","status_code":200,"status":"200","latency_ms":1,"route":"/a"}"#,
            r#"{"message":"request","status":404,"latency_ms":30,"route":"/b"}"#,
            "Task timed out",
        ];
        let lines = lines.map(|text| line(text, "g", "s", Timestamp::UNIX_EPOCH));
        json!(Query::parse(query).unwrap().run(&lines))
    }

    #[test]
    fn a_filter_keeps_the_lines_for_which_it_holds() {
        for (filter, count) in [
            (r#"message = "request""#, 3),
            (r#"message != "request""#, 0),
            ("coalesce(status_code, status) >= 404", 2),
            (r#"status in ["200", "404"]"#, 2),
            ("status < 404 or latency_ms = 30", 2),
            ("not ispresent(message)", 1),
            ("cause like /busy|slow/", 1),
            (
                r#"(route = "/a" or route = "/b") and not latency_ms > 4"#,
                1,
            ),
        ] {
            let found = run(&format!("fields route | filter {filter}"));
            assert_eq!(found.as_array().unwrap().len(), count, "{filter}");
        }
    }

    #[test]
    fn stats_count_and_measure_groups() {
        assert_eq!(
            run(
                r#"filter message = "request" | stats count(*) as n, avg(latency_ms) as mean,
                pct(latency_ms, 99) as p99, count(cause) as causes by route | sort n desc | limit 1"#
            ),
            json!([{"route": "/a", "n": 2.0, "mean": 3.0, "p99": 5.0, "causes": 1.0}])
        );
        assert_eq!(
            run("stats max(latency_ms) as slowest by bin(1h)"),
            json!([{"slowest": 30.0, "bin(3600s)": "1970-01-01T00:00:00Z"}])
        );
    }

    #[test]
    #[should_panic(expected = "compare it as text")]
    fn values_that_insights_shows_in_its_own_way_are_refused() {
        let row = line(r#"{"cold_start":true}"#, "g", "s", Timestamp::UNIX_EPOCH);
        Query::parse("filter cold_start = 1").unwrap().run(&[row]);
    }
}
