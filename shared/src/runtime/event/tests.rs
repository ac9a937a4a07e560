use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn stripped(path: &str, stage: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    routed(&json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query,
        "requestContext": {"stage": stage, "http": {"method": "GET"}},
    }))
}

#[test]
fn a_named_stage_is_stripped_from_the_path() {
    assert_eq!(stripped("/prod/health?deep=1", "prod"), "/health?deep=1");
    assert_eq!(stripped("/production/health", "prod"), "/production/health");
    assert_eq!(stripped("/health", "prod"), "/health");
}

fn unwrapped(event: &Value) -> Request {
    let event: Event = serde_json::from_str(&event.to_string()).unwrap();
    event.into_request(&Context::default(), &Clock::System).1
}

fn routed(event: &Value) -> String {
    unwrapped(event).uri().path_and_query().unwrap().to_string()
}

fn arrival(event: &Value) -> Arrival {
    unwrapped(event).extensions().get().cloned().unwrap()
}

fn peer(event: &Value) -> Option<String> {
    arrival(event).peer.map(|address| address.to_string())
}

#[test]
fn the_peers_address_comes_from_the_platform_not_from_headers() {
    let http = |source: &str| {
        json!({
            "version": "2.0", "rawPath": "/", "headers": {"x-forwarded-for": "192.0.2.66"},
            "requestContext": {"http": {"method": "GET", "sourceIp": source}},
        })
    };
    assert_eq!(peer(&http("203.0.113.7")).as_deref(), Some("203.0.113.7"));
    assert_eq!(peer(&http("2001:db8::1")).as_deref(), Some("2001:db8::1"));
    let rest = |source: &str| {
        json!({
            "resource": "/", "path": "/", "httpMethod": "GET", "headers": {"X-Forwarded-For": "192.0.2.66"},
            "requestContext": {"httpMethod": "GET", "identity": {"sourceIp": source}},
        })
    };
    assert_eq!(peer(&rest("203.0.113.7")).as_deref(), Some("203.0.113.7"));
    assert_eq!(peer(&rest("test-invoke-source-ip")), None);
}

#[test]
fn the_deadline_is_lambdas_unless_it_has_passed() {
    let now = "2026-11-23T08:00:00.123Z".parse().unwrap();
    let clock = Clock::Manual(crate::clock::ManualClock::new(now));
    let left = |deadline: i64| {
        let mut context = Context::default();
        context.deadline = u64::try_from(deadline).unwrap();
        super::deadline(&context, &clock).map(|end| end - Instant::now())
    };
    let milliseconds = |number| Duration::from_millis(number);
    let in_time = left(now.as_millisecond() + 5000).unwrap();
    assert!(
        in_time <= milliseconds(5000) && in_time > milliseconds(4000),
        "{in_time:?}"
    );
    assert_eq!(left(now.as_millisecond() - 1), None);
    assert_eq!(left(600_000), None);
}

#[test]
fn a_stage_named_like_a_path_segment_hides_no_route() {
    let rest = json!({
        "resource": "/{proxy+}", "path": "/api/v1/user/info", "httpMethod": "GET",
        "queryStringParameters": {"a": "1"}, "requestContext": {"stage": "api", "httpMethod": "GET"},
    });
    assert_eq!(routed(&rest), "/api/v1/user/info?a=1");
    let http = json!({
        "version": "2.0", "rawPath": "/api/api/v1/user/info", "rawQueryString": "a=1",
        "requestContext": {"stage": "api", "http": {"method": "GET"}},
    });
    assert_eq!(routed(&http), "/api/v1/user/info?a=1");
}

fn http_api(changes: &Value) -> Value {
    let mut event = json!({
        "version": "2.0", "rawPath": "/health", "rawQueryString": "", "headers": {"host": "a.example"},
        "requestContext": {"http": {"method": "GET", "sourceIp": "192.0.2.1"}, "stage": "$default", "requestId": "r1"},
        "isBase64Encoded": false,
    });
    merge(&mut event, changes);
    event
}

fn rest_api(changes: &Value) -> Value {
    let mut event = json!({
        "resource": "/{proxy+}", "path": "/health", "httpMethod": "GET", "headers": {"Host": "a.example"},
        "requestContext": {"stage": "prod", "path": "/prod/health", "identity": {"sourceIp": "192.0.2.1"}},
        "isBase64Encoded": false,
    });
    merge(&mut event, changes);
    event
}

fn merge(event: &mut Value, changes: &Value) {
    match (event, changes) {
        (Value::Object(event), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(event.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (event, value) => *event = value.clone(),
    }
}

fn malformed(event: &Value) -> Option<Malformed> {
    arrival(event).malformed
}

#[test]
fn a_query_that_a_uri_refuses_is_escaped() {
    for (raw, escaped) in [
        (r#"a="x""#, "a=%22x%22"),
        ("a=b c", "a=b%20c"),
        ("a=<b>", "a=%3Cb%3E"),
        ("a=\u{1}", "a=%01"),
        ("a=\r\n", "a=%0D%0A"),
        ("a=#b&c=d", "a=%23b&c=d"),
        ("a=é", "a=%C3%A9"),
        ("a=%20%zz%", "a=%20%zz%"),
        ("a=b+c&d[]=?/", "a=b+c&d%5B%5D=?/"),
    ] {
        let event = http_api(&json!({"rawQueryString": raw}));
        assert_eq!(routed(&event), format!("/health?{escaped}"));
        assert_eq!(malformed(&event), None);
    }
    let rest = rest_api(&json!({"queryStringParameters": {"a": "<b>\u{1}\" é", "c": null}}));
    assert_eq!(routed(&rest), "/health?a=%3Cb%3E%01%22+%C3%A9&c=");
}

#[test]
fn a_rest_query_has_all_values_of_a_name() {
    let event = rest_api(&json!({
        "queryStringParameters": {"a": "2"},
        "multiValueQueryStringParameters": {"a": ["1", "2"], "b": ["&="]},
    }));
    assert_eq!(routed(&event), "/health?a=1&a=2&b=%26%3D");
}

#[test]
fn a_path_that_a_uri_refuses_is_escaped_and_an_escaped_letter_is_that_letter() {
    for (raw, escaped) in [
        ("/a b", "/a%20b"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("/é\\|", "/%C3%A9%5C%7C"),
        ("/%68ealth", "/health"),
        ("/a%2Fb", "/a%2Fb"),
        ("//a/../b", "//a/../b"),
        ("", "/"),
        ("a", "/a"),
        (":80@b", "/:80@b"),
    ] {
        let events = [
            http_api(&json!({"rawPath": raw})),
            rest_api(&json!({"path": raw})),
        ];
        for event in events {
            assert_eq!(routed(&event), escaped);
        }
    }
}

#[test]
fn the_path_that_was_called_is_kept_when_routes_see_another_one() {
    let called = |event: &Value| arrival(event).original_path;
    let staged = json!({"rawPath": "/prod/health", "requestContext": {"stage": "prod"}});
    assert_eq!(called(&http_api(&staged)).as_deref(), Some("/prod/health"));
    let escaped = http_api(&json!({"rawPath": "/%68ealth"}));
    assert_eq!(called(&escaped).as_deref(), Some("/%68ealth"));
    assert_eq!(called(&http_api(&json!({}))), None);
    assert_eq!(
        called(&rest_api(&json!({}))).as_deref(),
        Some("/prod/health")
    );
}

#[test]
fn what_has_no_meaning_in_http_is_refused() {
    let long = format!("/{}", "a".repeat(70_000));
    for changes in [
        json!({"headers": {"a b": "c"}}),
        json!({"headers": {"": "c"}}),
        json!({"headers": {"a": "b\r\nc: d"}}),
        json!({"headers": {"a": "\u{0}"}}),
        json!({"headers": {"a": 7}}),
        json!({"headers": ["a"]}),
        json!({"body": "not base64", "isBase64Encoded": true}),
        json!({"body": {"a": 1}}),
        json!({"isBase64Encoded": "true"}),
        json!({"requestContext": {"http": {"method": "G T"}}, "httpMethod": "G T"}),
        json!({"requestContext": {"http": {"method": ""}}, "httpMethod": ""}),
        json!({"path": long, "rawPath": long}),
    ] {
        for event in [http_api(&changes), rest_api(&changes)] {
            assert!(malformed(&event).is_some(), "{event}");
        }
    }
}

#[test]
fn a_lone_surrogate_is_refused() {
    // A lone surrogate, which no string of ours can hold.
    let event_text = http_api(&json!({"headers": {"a": "SURROGATE"}})).to_string();
    let event_text = event_text.replace("SURROGATE", r"\ud800");
    let event: Event = serde_json::from_str(&event_text).unwrap();
    let (format, request) = event.into_request(&Context::default(), &Clock::System);
    assert_eq!(format, Format::V2);
    let arrival: &Arrival = request.extensions().get().unwrap();
    assert!(arrival.malformed.is_some());
}

#[test]
fn missing_fields_are_empty() {
    let http = json!({"version": "2.0", "requestContext": {"http": {"method": "GET"}}});
    assert_eq!((routed(&http).as_str(), malformed(&http)), ("/", None));
    let rest = json!({"httpMethod": "GET", "headers": null, "body": null, "path": null});
    assert_eq!((routed(&rest).as_str(), malformed(&rest)), ("/", None));
}

#[test]
fn headers_keep_all_their_values_and_more_than_ascii() {
    let request = unwrapped(&rest_api(&json!({
        "headers": {"User-Agent": "é", "X-Forwarded-For": "b"},
        "multiValueHeaders": {"X-Forwarded-For": ["a", "b"]},
    })));
    assert_eq!(request.headers()["user-agent"].as_bytes(), "é".as_bytes());
    let forwarded: Vec<_> = request
        .headers()
        .get_all("x-forwarded-for")
        .iter()
        .collect();
    assert_eq!(forwarded, ["a", "b"]);
    let cookies = unwrapped(&http_api(&json!({"cookies": ["a=1", "b=2"]})));
    assert_eq!(cookies.headers()["cookie"], "a=1; b=2");
}

#[test]
fn an_event_of_another_service_is_an_error() {
    for event in [
        json!({}),
        json!([]),
        json!(null),
        json!("GET /health"),
        json!({"Records": [{"eventSource": "aws:sqs"}]}),
        json!({"version": "0", "source": "aws.events", "detail": {}}),
        json!({"version": "2.0", "requestContext": {}}),
        json!({"version": "2.0", "requestContext": 7}),
    ] {
        assert!(
            serde_json::from_str::<Event>(&event.to_string()).is_err(),
            "{event}"
        );
    }
}

/// Any JSON, often a string.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".{0,12}", "[\u{0}-\u{7f}]{0,12}", "[a-zA-Z0-9+/=]{0,12}"];
    prop_oneof![
        6 => text.clone().prop_map(|text| json!(text)),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(|value| json!(value)),
        2 => proptest::collection::vec(text.clone(), 0..3).prop_map(|list| json!(list)),
        2 => proptest::collection::btree_map(text.clone(), text, 0..3).prop_map(|map| json!(map)),
    ]
}

/// An event of either format in which some fields hold anything.
fn any_event() -> impl Strategy<Value = Value> {
    let fields = [
        "/version",
        "/rawPath",
        "/rawQueryString",
        "/cookies",
        "/headers",
        "/headers/host",
        "/body",
        "/isBase64Encoded",
        "/path",
        "/httpMethod",
        "/queryStringParameters",
        "/multiValueQueryStringParameters",
        "/multiValueHeaders",
        "/requestContext",
        "/requestContext/http",
        "/requestContext/http/method",
        "/requestContext/http/sourceIp",
        "/requestContext/stage",
        "/requestContext/path",
        "/requestContext/requestId",
        "/requestContext/identity",
        "/requestContext/identity/sourceIp",
    ];
    let all = |event: Value| {
        let empty = json!({
            "cookies": [], "body": "", "rawPath": "/", "rawQueryString": "", "path": "/", "httpMethod": "GET",
            "queryStringParameters": null, "multiValueQueryStringParameters": null,
            "multiValueHeaders": null,
            "requestContext": {"http": {"method": "GET", "sourceIp": ""}, "identity": {"sourceIp": ""},
                "path": "/", "requestId": "", "stage": ""},
        });
        let mut all = empty;
        merge(&mut all, &event);
        all
    };
    let events = prop_oneof![
        Just(all(http_api(&json!({})))),
        Just(all(rest_api(&json!({})))),
    ];
    let change = (prop::sample::select(fields.to_vec()), any_json());
    (events, proptest::collection::vec(change, 0..4)).prop_map(|(mut event, changes)| {
        for (field, value) in changes {
            if let Some(place) = event.pointer_mut(field) {
                *place = value;
            }
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_event_panics(event in any_event(), deadline: u64) {
        let mut context = Context::default();
        context.deadline = deadline;
        if let Ok(event) = serde_json::from_str::<Event>(&event.to_string()) {
            let (_, request) = event.into_request(&context, &Clock::System);
            prop_assert!(request.uri().path().starts_with('/'));
        }
    }

    #[test]
    fn every_path_and_query_reaches_the_routes(path in "/.{0,20}", query in ".{0,20}") {
        let event = http_api(&json!({"rawPath": path, "rawQueryString": query}));
        prop_assert_eq!(malformed(&event), None);
        let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<_>>();
        let uri = unwrapped(&event).uri().clone();
        prop_assert_eq!(decode(uri.path()), decode(&path));
        prop_assert_eq!(decode(uri.query().unwrap_or_default()), decode(&query));
    }
}
