//! Malformed and oversized request bodies.

use e2e::{
    test_app::SharedState::{self, InProcess, Redis},
    within_patience,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rstest::rstest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    task::block_in_place,
};

use super::logged_in::{LoggedInApp, ROUTES, Route};

/// Asserts that each route refuses these bodies, made for its field, as invalid.
async fn all_refuse(state: SharedState, bodies: impl Fn(&Route) -> Vec<Vec<u8>>) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        for body in bodies(route) {
            let answer = fixture.send(route, &body).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert_eq!(
                (answer.status, answer.reason()),
                (400, Some("invalid_request")),
                "{route:?} {shown}"
            );
        }
    }
    fixture.assert_unharmed().await;
}

/// The same for bodies that are `{"field": value}`, and the field is named in the answer.
async fn all_refuse_the_value(state: SharedState, values: &[&str]) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        // A whole number is of the wrong type only where none is wanted.
        let is_number = |value: &str| value.parse::<u32>().is_ok();
        let wrong = |value: &&&str| !(is_number(route.value) && is_number(value));
        for value in values.iter().filter(wrong) {
            let body = format!(r#"{{"{}":{value}}}"#, route.field);
            fixture
                .send(route, body.as_bytes())
                .await
                .fails_at(&[route.field]);
        }
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_json_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    all_refuse(state, |Route { field, value, .. }| {
        let texts = [
            "hello".to_owned(),
            "{".to_owned(),
            "   ".to_owned(),
            "\0".to_owned(),
            format!("{{\"{field}\""),
            format!("{{\"{field}\":"),
            format!("{{\"{field}\":{value}"),
            format!("{{\"{field}\":{value},}}"),
            format!("{{\"{field}\":{value}}}}}"),
            format!("{{\"{field}\":{value}}}{{}}"),
            format!("{{'{field}':{value}}}"),
            format!("{{{field}:{value}}}"),
            format!("// a comment\n{{\"{field}\":{value}}}"),
            format!("{{\"{field}\":NaN}}"),
            format!("{{\"{field}\":undefined}}"),
            format!("{field}={value}"),
        ];
        texts.map(String::into_bytes).to_vec()
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_other_than_an_object_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    all_refuse(state, |Route { field, value, .. }| {
        let texts = ["null", "true", "42", "1e999", "\"text\"", "[]", "[null]"].map(str::to_owned);
        let in_arrays = [format!("[{value}]"), format!("[{{\"{field}\":{value}}}]")];
        texts
            .into_iter()
            .chain(in_arrays)
            .map(String::into_bytes)
            .collect()
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_nesting_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    all_refuse(state, |Route { field, .. }| {
        let arrays = "[".repeat(30_000);
        let closed = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let objects = r#"{"a":"#.repeat(10_000);
        let texts = [
            arrays.clone(),
            closed.clone(),
            objects.clone(),
            format!("{{\"{field}\":{arrays}"),
            format!("{{\"{field}\":{closed}}}"),
            format!("{{\"{field}\":{objects}"),
            format!("{{\"unknown\":{closed}}}"),
        ];
        texts.map(String::into_bytes).to_vec()
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_text_encodings_are_rejected(#[values(InProcess, Redis)] state: SharedState) {
    all_refuse(state, |Route { field, value, .. }| {
        let with = |text: &[u8]| [b"{\"", field.as_bytes(), b"\":\"a", text, b"\"}"].concat();
        let utf16 = format!("{{\"{field}\":{value}}}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let after_a_mark = format!("\u{feff}{{\"{field}\":{value}}}").into_bytes();
        let mut bodies = vec![
            with(b"\xff\xfe"),
            with(b"\xc0\x80"),
            with(b"\xed\xa0\x80"),
            with(b"\xf4\x90\x80\x80"),
        ];
        bodies.extend([
            with(b"\0"),
            with(b"\n"),
            with(br"\ud800"),
            with(br"\udc00\ud800"),
            with(br"\uZZZZ"),
            with(br"\x41"),
        ]);
        bodies.extend([utf16, after_a_mark, vec![0xff; 100], vec![0; 100]]);
        bodies
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_the_wrong_type_is_rejected_by_field_name(
    #[values(InProcess, Redis)] state: SharedState,
) {
    all_refuse_the_value(
        state,
        &[
            "12345",
            "-1",
            "1.5",
            "12345678901234567890123",
            "{}",
            r#"{"a":1}"#,
            r#"["ab"]"#,
        ],
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_field_is_rejected_by_name(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        let Route { field, value, .. } = route;
        let body = format!("{{\"{field}\":{value},\"{field}\":{value}}}");
        fixture
            .send(route, body.as_bytes())
            .await
            .fails_at(&[field]);
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_is_rejected_by_name(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        let Route { field, value, .. } = route;
        for name in ["extra", "Code", "__proto__", "constructor", "明"] {
            let body = format!("{{\"{field}\":{value},\"{name}\":1}}");
            fixture.send(route, body.as_bytes()).await.fails_at(&[name]);
        }
        // The name is shown, but truncated.
        let body = format!("{{\"{}\":1}}", "x".repeat(10_000));
        fixture
            .send(route, body.as_bytes())
            .await
            .fails_at(&["x".repeat(64).as_str()]);
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_field_is_rejected_by_name(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for (route, named) in ROUTES.iter().zip([
        Some("code"),
        Some("refreshToken"),
        None,
        Some(""),
        Some("code"),
    ]) {
        if let Some(named) = named {
            fixture.send(route, b"{}").await.fails_at(&[named]);
        }
    }
    for route in ROUTES.iter().filter(|route| route.field != "all") {
        fixture.send(route, b"").await.fails(400, "invalid_request");
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_characters_are_rejected_by_field_name(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let (ascii, wide) = ("x".repeat(10_000), "明".repeat(10_000));
    all_refuse_the_value(state, &[&format!("\"{ascii}\""), &format!("\"{wide}\"")]).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_with_invalid_characters_is_rejected_by_field_name(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let login = &ROUTES[0];
    let long = "x".repeat(257);
    for code in [
        "",
        " ",
        "a b",
        "a\u{0}b",
        "a\nb",
        "明",
        "a\u{7f}",
        "\u{202e}abc",
        "ab\r\nx-evil: 1",
        &long,
    ] {
        fixture
            .send(login, json!({"code": code}).to_string().as_bytes())
            .await
            .fails_at(&["code"]);
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_one_mebibyte_is_too_large(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        let body = format!("{{\"{}\":\"{}\"}}", route.field, "x".repeat(1 << 20));
        fixture
            .send(route, body.as_bytes())
            .await
            .fails(413, "body_too_large");
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_one_mebibyte_in_chunks_is_too_large(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let address = fixture.app.api.url.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /api/v1/user/login HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..64 {
        // The server may stop reading as soon as it has seen enough.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    // The server may reset the connection after its answer, because it has not read everything.
    let _ = within_patience("the answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""reason":"body_too_large""#), "{answer}");
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_one_byte_above_the_limit_is_too_large(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let padded = |length: usize| format!("{{}}{}", " ".repeat(length - 2));
    let login = &ROUTES[0];
    fixture
        .send(login, padded(64 * 1024).as_bytes())
        .await
        .fails_at(&["code"]);
    fixture
        .send(login, padded(64 * 1024 + 1).as_bytes())
        .await
        .fails(413, "body_too_large");
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsupported_content_type_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for route in &ROUTES {
        let body = format!("{{\"{}\":{}}}", route.field, route.value);
        let types = [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "json",
            "",
            "\u{e9}",
        ];
        for content_type in types {
            let request = fixture
                .request(route)
                .header("content-type", content_type)
                .body(body.as_bytes());
            request.send().await.fails(415, "unsupported_media_type");
        }
        fixture
            .request(route)
            .body(body.as_bytes())
            .send()
            .await
            .fails(415, "unsupported_media_type");
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_json_content_type_is_accepted(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    for content_type in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/merge-patch+json",
    ] {
        let request = fixture
            .request(&ROUTES[3])
            .header("content-type", content_type);
        request.body(&br#"{"gender":1}"#[..]).send().await.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_http_leave_the_server_running(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let address = fixture.app.api.url.trim_start_matches("http://").to_owned();
    let half = format!(
        "POST /api/v1/user/login HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{\"code\""
    );
    let noise: &[&[u8]] = &[
        b"\0\xff\xfe\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
        half.as_bytes(),
        b"",
    ];
    for bytes in noise {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = within_patience(
            "the end of the connection",
            stream.read_to_end(&mut Vec::new()),
        )
        .await;
    }
    fixture.assert_unharmed().await;
}

/// JSON of all shapes, often with names and values that the routes know.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("code".to_owned()),
        Just("appId".to_owned()),
        Just("refreshToken".to_owned()),
        Just("all".to_owned()),
        Just("nickname".to_owned()),
        Just("avatarUrl".to_owned()),
        Just("gender".to_owned()),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,40}".prop_map(|value| json!(value)),
        "https://[a-z]{1,8}\\.cn/.{0,8}".prop_map(|value| json!(value)),
        "rt1\\.[A-Za-z0-9_-]{80,100}".prop_map(|value| json!(value)),
    ];
    let value = leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|list| json!(list)),
            proptest::collection::btree_map(".{0,8}", inner, 0..6)
                .prop_map(|members| json!(members)),
        ]
    });
    let object =
        proptest::collection::btree_map(name, value, 0..4).prop_map(|members| json!(members));
    let text = object.prop_map(|value| value.to_string().into_bytes());
    let damaged = (text.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        },
    );
    prop_oneof![4 => text, 2 => damaged, 1 => proptest::collection::vec(any::<u8>(), 0..300)]
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_causes_a_server_error(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let config = Config {
        cases: 192,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = block_in_place(|| {
        // A logout could succeed and end what the other routes need.
        let routes = prop::sample::select(vec![0_usize, 1, 3]);
        TestRunner::new(config).run(&(routes, body()), |(route, body)| {
            let answer = Handle::current().block_on(fixture.send(&ROUTES[route], &body));
            prop_assert!(answer.status < 500, "{answer:?}");
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(fixture.app.count("PROFILE").await, 1);
}
