use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Value {
    Value::Object(read_object(text).unwrap_or_else(|error| panic!("{error}: {text:?}")))
}

#[test]
fn control_characters_in_strings_are_kept() {
    for control in (0..' ' as u32).filter_map(char::from_u32) {
        assert_eq!(
            read(&format!("{{\"a{control}\":\"x{control}y\"}}")),
            json!({format!("a{control}"): format!("x{control}y")}),
            "{control:?}"
        );
    }
    assert_eq!(
        read("{\"a\":\"\u{7f}\u{85}\u{2028}\"}")["a"],
        "\u{7f}\u{85}\u{2028}"
    );
}

#[test]
fn half_of_a_surrogate_pair_is_replaced() {
    for (escaped, expected) in [
        (r"\ud83d\ude00", "😀"),
        (r"\uD83D", "\u{fffd}"),
        (r"\ude00x", "\u{fffd}x"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ud83d\\ude00", "\u{fffd}\\ude00"),
    ] {
        assert_eq!(read(&format!("{{\"a\":\"{escaped}\"}}"))["a"], expected);
    }
}

#[test]
fn a_backslash_that_begins_no_escape_is_kept() {
    for (escaped, expected) in [
        (r"¯\_(ツ)_/¯", r"¯\_(ツ)_/¯"),
        (r"it\'s", "it's"),
        (r"C:\x41", r"C:\x41"),
        (r"\u12", r"\u12"),
        (r"\u+041", r"\u+041"),
        (r"\u你好吗啊", r"\u你好吗啊"),
        ("\\\n", "\\\n"),
        (r#"\\\"\/\b\f\n\r\t\u0041"#, "\\\"/\u{8}\u{c}\n\r\tA"),
    ] {
        assert_eq!(
            read(&format!("{{\"a\":\"{escaped}\"}}"))["a"],
            expected,
            "{escaped}"
        );
    }
}

#[test]
fn what_surrounds_values_is_layout() {
    let expected = json!({"a": [1, "b"], "c": {}});
    for text in [
        "\u{feff}{\"a\":[1,\"b\"],\"c\":{}}",
        "{\"a\":[1,\"b\"],\"c\":{}}\0\0",
        "\u{a0}{\u{3000}\"a\"\u{b}:\u{1}[1 ,\"b\"]\r\n,\"c\":{\u{feff}} }\u{c}",
        "{\"a\":[1,\"b\",],\"c\":{},\n}",
        "\u{200b}{\u{2060}\"a\":\u{200e}[1\u{ad},\"b\"]\u{200d},\"c\":{}\u{200f}}\u{feff}",
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn blanks_controls_and_invisible_characters_are_layout() {
    for layout in " \0\t\u{7f}\u{a0}\u{ad}\u{180e}\u{200b}\u{200e}\u{2060}\u{2066}\u{3000}\u{3164}\u{fe0f}\u{feff}".chars()
    {
        assert!(is_layout(layout), "{layout:?}");
    }
    for content in "a0_-\"{}&é小😀\u{301}".chars() {
        assert!(!is_layout(content), "{content:?}");
    }
    let text = "\u{200b}a\u{ad}\u{2060}";
    assert_eq!(read(&format!("{{\"{text}\":\"{text}\"}}"))[text], text);
}

#[test]
fn a_number_keeps_all_its_digits() {
    for (written, expected) in [
        ("10000000000000000000001", json!("10000000000000000000001")),
        ("-9223372036854775809", json!("-9223372036854775809")),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e999", json!("1e999")),
        ("007", json!("007")),
        ("+1", json!("+1")),
        ("NaN", json!("NaN")),
        ("-0", json!(-0.0)),
        ("1.5e3", json!(1500.0)),
        ("null", json!(null)),
    ] {
        assert_eq!(
            read(&format!("{{\"a\":{written}}}"))["a"],
            expected,
            "{written}"
        );
    }
}

#[test]
fn input_other_than_an_object_is_refused_without_its_content() {
    for bad in [
        "",
        "[]",
        "\"secret\"",
        "null",
        "secret",
        "{",
        "{\"secret\"",
        "{\"a\":\"secret",
        "{\"a\":\"secret\\",
        "{\"a\":1}}",
        "{\"a\":1}secret",
        "{\"a\":1 2}",
        "{,}{",
        "{\"a\" \"secret\"}",
        "{\"a\":'secret'}",
    ] {
        let error = read_object(bad).expect_err(bad).to_string();
        assert!(!error.contains("secret"), "{bad}: {error}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(read_object(&deep).is_err());
}

/// Any JSON value, with text that needs escapes.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\x00-\\x20\"\\\\/u'{}\\[\\],:]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_strict_json_accepts_comes_out_the_same(members in prop::collection::btree_map(any::<String>(), any_json(), 0..6)) {
        let object = Value::Object(members.into_iter().collect());
        for text in [object.to_string(), serde_json::to_string_pretty(&object).unwrap()] {
            let strict: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read(&text), strict);
        }
    }

    /// Short texts of JSON's own characters: those that happen to be JSON are read as such.
    #[test]
    fn no_accidental_json_is_changed(text in "[{}\\[\\]\",:\\\\untrfalse0-9eE.+ -]{0,12}") {
        let text = format!("{{\"a\":{text}}}");
        if let Ok(strict) = serde_json::from_str::<Map<String, Value>>(&text) {
            prop_assert_eq!(read_object(&text), Ok(strict));
        }
    }

    #[test]
    fn text_between_quotes_never_fails(text in "[^\"\\\\]{0,60}") {
        prop_assert_eq!(&read(&format!("{{\"a\":\"{text}\"}}"))["a"], &text);
    }

    #[test]
    fn no_input_panics(text in any::<String>(), json in "\\{\"[\\x00-\\x7f]{0,60}") {
        let _ = (read_object(&text), read_object(&json));
    }
}
