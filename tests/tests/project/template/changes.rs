//! The table's changes: which of them reach the worker, and how.

use serde_json::{Value, json};
use shared::{changes::wakes_worker, users::rows::ROW_KINDS};

use super::rendered;

/// The rules of event filtering that the template uses: values that are equal, prefixes, and whether
/// there is a value. <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>
fn matches(pattern: &Value, value: &Value) -> bool {
    match pattern {
        Value::Object(members) => members
            .iter()
            .all(|(name, pattern)| matches(pattern, &value[name])),
        Value::Array(alternatives) => alternatives.iter().any(|one| is_one(one, value)),
        other => panic!("not a pattern: {other}"),
    }
}

fn is_one(alternative: &Value, value: &Value) -> bool {
    if let Some(prefix) = alternative["prefix"].as_str() {
        return value.as_str().is_some_and(|text| text.starts_with(prefix));
    }
    if let Some(exists) = alternative["exists"].as_bool() {
        return exists != value.is_null();
    }
    assert!(alternative.is_string(), "not a rule: {alternative}");
    alternative == value
}

fn mapping(parameters: &[(&str, &str)]) -> Option<Value> {
    let mappings = rendered(parameters).resources("AWS::Lambda::EventSourceMapping");
    assert!(mappings.len() <= 1);
    mappings.into_iter().next().map(|(_, mapping)| mapping)
}

fn patterns() -> Vec<Value> {
    let mapping = mapping(&[]).unwrap();
    let filters = mapping["FilterCriteria"]["Filters"].as_array().unwrap();
    // More need a quota.
    assert!(filters.len() <= 5);
    let pattern = |filter: &Value| serde_json::from_str(filter["Pattern"].as_str().unwrap());
    filters
        .iter()
        .map(|filter| pattern(filter).unwrap())
        .collect()
}

fn record(name: &str, pk: &str, sk: &str, image: &Value) -> Value {
    let keys = json!({"pk": {"S": pk}, "sk": {"S": sk}});
    json!({"eventName": name, "dynamodb": {"Keys": keys, "NewImage": image}})
}

#[test]
fn changes_that_something_reacts_to_wake_the_worker_and_no_others() {
    let patterns = patterns();
    let is_handed_over = |record: &Value| patterns.iter().any(|pattern| matches(pattern, record));
    let (none, ended) = (
        json!({}),
        json!({"revokedAt": {"S": "2026-11-23T01:02:03Z"}}),
    );
    for (name, pk, sk, image, wakes) in [
        ("INSERT", "USER#u", "PROFILE", &none, true),
        ("REMOVE", "USER#u", "PROFILE", &none, true),
        ("INSERT", "USER#u", "SESSION#s", &none, true),
        ("REMOVE", "USER#u", "SESSION#s", &none, true),
        ("MODIFY", "USER#u", "SESSION#s", &ended, true),
        // A refresh.
        ("MODIFY", "USER#u", "SESSION#s", &none, false),
        (
            "INSERT",
            "USER#u",
            "CONSENT#privacy#0000003#0001",
            &none,
            true,
        ),
        ("MODIFY", "CONFIG#home.banner", "CONFIG", &none, true),
        ("MODIFY", "SAGA#00", "SAGA", &none, true),
        // The worker's own: it would wake itself.
        (
            "INSERT",
            "USER#u",
            "AUDIT#2026-11-23T01:02:03.000Z#00",
            &none,
            false,
        ),
        ("INSERT", "USER#u", "UPLOAD#00", &none, false),
        ("INSERT", "USER#u", "PHONE_TICKET#s", &none, false),
        ("MODIFY", "WX#wx1#o1", "IDENTITY", &none, false),
        ("INSERT", "PHONE#00", "OWNER", &none, false),
        ("MODIFY", "PROBE", "WRITE", &none, false),
    ] {
        let record = record(name, pk, sk, image);
        assert_eq!(is_handed_over(&record), wakes, "{record}");
        // What `local` does in place of the mapping.
        assert_eq!(wakes_worker(&record), wakes, "{record}");
    }
}

/// So that nobody adds a kind without saying whether something reacts to it.
#[test]
fn each_kind_of_row_is_one_that_wakes_the_worker_or_is_known_not_to() {
    const ASLEEP: [&str; 8] = [
        "UPLOAD#",
        "CHECK",
        "IDENTITY",
        "OWNER",
        "PHONE_TICKET#",
        "AUDIT#",
        "MESSAGE#",
        "GRANT#",
    ];
    let patterns = patterns();
    for kind in ROW_KINDS {
        let record = record("INSERT", &kind.pk("id"), kind.sk, &json!({}));
        let wakes = patterns.iter().any(|pattern| matches(pattern, &record));
        assert_ne!(wakes, ASLEEP.contains(&kind.sk), "{kind:?}");
        assert_eq!(wakes_worker(&record), wakes, "{kind:?}");
    }
}

#[test]
fn a_failing_change_is_repeated_until_it_is_too_old_and_then_named_in_an_encrypted_queue() {
    let mapping = mapping(&[]).unwrap();
    assert_eq!(mapping["FunctionName"], "WorkerFunction.Alias");
    assert_eq!(
        mapping["FunctionResponseTypes"],
        json!(["ReportBatchItemFailures"])
    );
    assert_eq!(mapping["BisectBatchOnFunctionError"], true);
    // The stream forgets after a day; before that, the queue has to be told.
    let age = mapping["MaximumRecordAgeInSeconds"].as_u64().unwrap();
    assert!((3600..86_400).contains(&age), "{age}");
    // Attempts that fail at once would be used up long before.
    assert_eq!(mapping["MaximumRetryAttempts"], -1);
    let queue = &mapping["DestinationConfig"]["OnFailure"]["Destination"];
    assert_eq!(queue, "ChangesDeadLetters.Arn");
    let template = rendered(&[]);
    let queue = &template.all()["ChangesDeadLetters"];
    assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true);
    let [(_, table)] = &template.resources("AWS::DynamoDB::Table")[..] else {
        panic!("not one table")
    };
    assert_eq!(
        table["StreamSpecification"]["StreamViewType"],
        "NEW_AND_OLD_IMAGES"
    );
}

#[test]
fn a_table_that_was_given_is_followed_if_its_stream_is_given_too() {
    const STREAM: &str = "arn:aws:dynamodb:ap-southeast-1:111122223333:table/t/stream/2026";
    let table = ("ExistingTable", "weapp-restored");
    assert_eq!(mapping(&[table]), None);
    let mapping = mapping(&[table, ("ExistingTableStream", STREAM)]).unwrap();
    assert_eq!(mapping["EventSourceArn"], STREAM);
}

/// A lease is a second longer than the invocation has left, and one of more than a minute counts as
/// written by a clock that is wrong (`shared/src/saga/log.rs`); a saga is given ten seconds at a time.
#[test]
fn the_worker_has_a_minute_at_most() {
    let mut functions = rendered(&[]).functions().into_iter();
    let worker = functions.find(|it| it.package == "worker");
    let seconds = worker.unwrap().properties["Timeout"].as_u64().unwrap();
    assert!((30..=60).contains(&seconds), "{seconds}");
}
