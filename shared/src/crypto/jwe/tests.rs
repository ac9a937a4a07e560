use std::sync::LazyLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    crypto::{TransportKey, TransportKeys},
    random::Random,
};

static KEYS: LazyLock<TransportKeys> = LazyLock::new(|| {
    let keys: Value = serde_json::from_str(include_str!("../rsa/data/keys.json")).unwrap();
    let key = STANDARD.decode(keys["rsa_2048"].as_str().unwrap()).unwrap();
    TransportKeys(vec![
        TransportKey::from_pkcs8("k1", &key).unwrap(),
        TransportKey::from_pkcs8("k2", &key).unwrap(),
    ])
});

const CONTENT: &[u8] = br#"{"code":"081"}"#;
const FORMS: [Form; 2] = [Form::Compact, Form::Flattened];

fn header(enc: Enc) -> RequestHeader {
    RequestHeader::new(
        enc,
        "k1",
        (1_700_000_000, "request-1"),
        ("POST", "/api/v1/user/login"),
    )
}

fn sealed(enc: Enc, form: Form) -> (String, ContentKey) {
    seal_request(
        KEYS.0[0].public(),
        &header(enc),
        CONTENT,
        form,
        &Random::System,
    )
    .unwrap()
}

/// A correctly sealed request with an arbitrary header.
fn sealed_with(header: &str, form: Form) -> String {
    let (enc, random) = (Enc::A256Gcm, Random::System);
    let (cek, iv): ([u8; 32], [u8; 12]) = (random.bytes(), random.bytes());
    let protected = URL_SAFE_NO_PAD.encode(header);
    let (ciphertext, tag) = enc.seal(&cek, &iv, protected.as_bytes(), CONTENT).unwrap();
    let encrypted_key = KEYS.0[0].public().wrap(&cek, &random).unwrap();
    parts::Parts {
        protected,
        encrypted_key,
        iv: iv.into(),
        ciphertext,
        tag,
    }
    .write(form)
}

fn open(jwe: &str, form: Form) -> Result<(Vec<u8>, ContentKey), JweError> {
    let request = SealedRequest::parse(jwe.as_bytes(), form)?;
    let key = request.key(&KEYS).ok_or(JweError)?;
    request.open(key, &Random::System)
}

fn is_rejected(jwe: &str, form: Form) -> bool {
    open(jwe, form).is_err()
}

#[test]
fn a_request_and_its_answer_open() {
    for enc in Enc::ALL {
        for form in FORMS {
            let (jwe, client) = sealed(enc, form);
            let request = SealedRequest::parse(jwe.as_bytes(), form).unwrap();
            assert_eq!(request.header, header(enc));
            let (content, server) = request
                .open(request.key(&KEYS).unwrap(), &Random::System)
                .unwrap();
            assert_eq!(content, CONTENT);
            let answer = server
                .seal(
                    b"{}",
                    Some("json".to_owned()),
                    1_700_000_001,
                    &Random::System,
                )
                .unwrap();
            let (header, content) = client.open(answer.as_bytes()).unwrap();
            assert_eq!(
                (&*content, header.iat, header.cty.as_deref()),
                (&b"{}"[..], 1_700_000_001, Some("json"))
            );
        }
    }
}

#[test]
fn the_wire_format_is_pinned() {
    let (jwe, key) = sealed(Enc::A256Gcm, Form::Flattened);
    let members: Value = serde_json::from_str(&jwe).unwrap();
    let protected = URL_SAFE_NO_PAD
        .decode(members["protected"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&protected).unwrap(),
        json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "k1", "iat": 1_700_000_000, "jti": "request-1",
            "htm": "POST", "htu": "/api/v1/user/login", "cty": "json"})
    );
    let answer = key
        .seal(
            b"{}",
            Some("json".to_owned()),
            1_700_000_001,
            &Random::System,
        )
        .unwrap();
    let members: Value = serde_json::from_str(&answer).unwrap();
    let protected = URL_SAFE_NO_PAD
        .decode(members["protected"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&protected).unwrap(),
        json!({"alg": "dir", "enc": "A256GCM", "cty": "json", "iat": 1_700_000_001, "jti": "request-1"})
    );
    assert_eq!(members.get("encrypted_key"), None);
    let (_, key) = sealed(Enc::A256CbcHs512, Form::Compact);
    let answer = key
        .seal(b"{}", None, 1_700_000_001, &Random::System)
        .unwrap();
    assert_eq!(
        answer.split('.').map(str::len).collect::<Vec<_>>()[1..],
        [0, 22, 22, 43]
    );
}

#[test]
fn an_answer_opens_only_with_the_key_of_its_request() {
    let (jwe, client) = sealed(Enc::A256Gcm, Form::Compact);
    let (_, server) = open(&jwe, Form::Compact).unwrap();
    let (_, other) = sealed(Enc::A256Gcm, Form::Compact);
    let answer = server.seal(b"{}", None, 0, &Random::System).unwrap();
    assert!(client.open(answer.as_bytes()).is_ok());
    assert!(other.open(answer.as_bytes()).is_err());
    // A request that is sent back is not an answer.
    assert!(client.open(jwe.as_bytes()).is_err());
}

#[test]
fn other_and_malformed_jwes_are_rejected() {
    let examples: Value = serde_json::from_str(include_str!("data/rfc.json")).unwrap();
    // Every example of the RFCs: each has another `alg` or `enc`, an unprotected header, several
    // recipients, `aad`, `zip`.
    let examples = examples["refused"].as_array().unwrap();
    assert!(examples.len() > 30);
    for example in examples {
        for form in FORMS {
            assert!(is_rejected(example.as_str().unwrap(), form), "{example}");
        }
    }
    let (compact, _) = sealed(Enc::A256Gcm, Form::Compact);
    let (flattened, _) = sealed(Enc::A256Gcm, Form::Flattened);
    assert!(is_rejected(&compact, Form::Flattened) && is_rejected(&flattened, Form::Compact));
    for bad in [
        "",
        ".",
        "....",
        ".....",
        "{}",
        "[]",
        "null",
        "\"\"",
        &format!("{compact}."),
        &format!("{compact}="),
    ] {
        assert!(
            is_rejected(bad, Form::Compact) && is_rejected(bad, Form::Flattened),
            "{bad}"
        );
    }
}

#[test]
fn only_the_expected_headers_are_accepted() {
    let good = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k1","iat":1,"jti":"j","htm":"POST","htu":"/a"}"#;
    let more = |members: &str| good.replace('}', &format!(",{members}}}"));
    let accepted = [
        good.to_owned(),
        more(r#""typ":"JOSE","cty":"json""#),
        more(r#""typ":"jose+json","cty":"application/json""#),
        more(r#""ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo""#),
        good.replace("\"k1\"", "\"k2\""),
    ];
    let bad = [
        more(r#""zip":"DEF""#),
        more(r#""crit":["exp"],"exp":1"#),
        more(r#""crit":[]"#),
        more(r#""crit":null"#),
        more(r#""crit":["ath"],"ath":"a""#),
        more(r#""ath":"a","ath":"a""#),
        more(r#""ath":1"#),
        more(r#""b64":false"#),
        more(r#""jku":"https://example.com""#),
        more(r#""typ":"JWT""#),
        more(r#""cty":"JWT""#),
        // Duplicate fields.
        more(r#""alg":"RSA-OAEP-256""#),
        more(r#""kid":"k1""#),
        good.replace("RSA-OAEP-256", "RSA-OAEP"),
        good.replace("RSA-OAEP-256", "RSA1_5"),
        good.replace("RSA-OAEP-256", "dir"),
        good.replace("A256GCM", "A128GCM"),
        good.replace("A256GCM", "A256CBC-HS512"),
        good.replace("\"k1\"", "\"k3\""),
        good.replace("\"k1\"", "1"),
        good.replace("\"iat\":1", "\"iat\":\"1\""),
        good.replace("\"iat\":1", "\"iat\":1.5"),
        good.replace(",\"iat\":1", ""),
        good.replace(",\"htu\":\"/a\"", ""),
        r#"["RSA-OAEP-256","A256GCM","k1",1,"j","POST","/a"]"#.to_owned(),
        format!("{good} {good}"),
        String::new(),
    ];
    for form in FORMS {
        for header in &accepted {
            assert!(open(&sealed_with(header, form), form).is_ok(), "{header}");
        }
        for header in &bad {
            assert!(is_rejected(&sealed_with(header, form), form), "{header}");
        }
    }
}

#[test]
fn unexpected_members_are_rejected() {
    let (jwe, _) = sealed(Enc::A256Gcm, Form::Flattened);
    assert!(open(&jwe, Form::Flattened).is_ok());
    for member in [
        r#""header":{"kid":"k1"}"#,
        r#""header":{}"#,
        r#""unprotected":{"kid":"k1"}"#,
        r#""aad":"""#,
        r#""recipients":[]"#,
        r#""anything":1"#,
        r#""tag":"AAAAAAAAAAAAAAAAAAAAAA""#,
    ] {
        assert!(
            is_rejected(&jwe.replace('}', &format!(",{member}}}")), Form::Flattened),
            "{member}"
        );
    }
}

#[test]
fn parts_of_the_wrong_length_are_rejected_before_any_rsa_work() {
    let long = format!(
        r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k1","iat":1,"jti":"j","htm":"POST","htu":"/{}"}}"#,
        "a".repeat(1600)
    );
    let (jwe, _) = sealed(Enc::A256Gcm, Form::Compact);
    let parts: Vec<&str> = jwe.split('.').collect();
    let with = |at: usize, part: String| {
        let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts[at] = part;
        parts.join(".")
    };
    let wrong_lengths = [
        sealed_with(&long, Form::Compact),
        with(1, "A".repeat(684)),
        with(1, String::new()),
        with(1, parts[1][..340].to_owned()),
        with(2, "A".repeat(22)),
        with(2, String::new()),
        with(4, "A".repeat(43)),
        with(4, "A".repeat(20)),
        with(4, String::new()),
    ];
    for jwe in wrong_lengths {
        let request = SealedRequest::parse(jwe.as_bytes(), Form::Compact);
        assert!(
            request.is_err() || request.unwrap().key(&KEYS).is_none(),
            "{jwe}"
        );
    }
}

#[test]
fn a_content_key_of_the_wrong_length_is_rejected() {
    let random = Random::System;
    let protected = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header(Enc::A256Gcm)).unwrap());
    for len in [0, 16, 31, 33, 64] {
        let encrypted_key = KEYS.0[0].public().wrap(&vec![0; len], &random).unwrap();
        let parts = parts::Parts {
            protected: protected.clone(),
            encrypted_key,
            iv: vec![0; 12],
            ciphertext: vec![0; 10],
            tag: vec![0; 16],
        };
        assert!(
            is_rejected(&parts.write(Form::Compact), Form::Compact),
            "{len}"
        );
    }
}

/// Inputs worth keeping, found by fuzzing or by hand.
#[test]
fn the_corpus_neither_panics_nor_opens() {
    let corpus = include_str!("data/corpus.txt");
    assert!(corpus.lines().count() > 20);
    for line in corpus.lines() {
        for form in FORMS {
            assert!(is_rejected(line, form), "{line}");
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for form in FORMS {
            prop_assert!(SealedRequest::parse(&bytes, form).is_err());
        }
    }

    #[test]
    fn no_text_of_the_right_shape_panics(text in r"[A-Za-z0-9_-]{0,80}(\.[A-Za-z0-9_=-]{0,80}){3,5}") {
        prop_assert!(is_rejected(&text, Form::Compact));
    }

    #[test]
    fn no_json_of_the_right_shape_panics(
        protected in "[A-Za-z0-9_-]{0,60}", key in "[A-Za-z0-9_-]{0,60}", tag in "[A-Za-z0-9_-]{0,30}"
    ) {
        let json = json!({"protected": protected, "encrypted_key": key, "iv": "AA", "ciphertext": "", "tag": tag});
        prop_assert!(is_rejected(&json.to_string(), Form::Flattened));
    }

    #[test]
    fn a_sealed_request_opens_to_its_content(content in prop::collection::vec(any::<u8>(), 0..200), seed: u64, cbc: bool, flat: bool) {
        let enc = if cbc { Enc::A256CbcHs512 } else { Enc::A256Gcm };
        let form = if flat { Form::Flattened } else { Form::Compact };
        let random = Random::seeded(seed);
        let (jwe, _) = seal_request(KEYS.0[0].public(), &header(enc), &content, form, &random).unwrap();
        prop_assert_eq!(open(&jwe, form).unwrap().0, content);
    }

    /// One character changed, removed or inserted, anywhere.
    #[test]
    fn no_mutation_is_accepted(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.=-]", how in 0..3, cbc: bool) {
        let enc = if cbc { Enc::A256CbcHs512 } else { Enc::A256Gcm };
        let (jwe, _) = sealed(enc, Form::Compact);
        let at = at.index(jwe.len());
        let mut changed = jwe.clone();
        match how {
            0 => changed.replace_range(at..=at, &with),
            1 => changed.replace_range(at..=at, ""),
            _ => changed.insert_str(at, &with),
        }
        prop_assume!(changed != jwe);
        prop_assert!(is_rejected(&changed, Form::Compact));
    }
}
