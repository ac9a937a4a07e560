//! Mini-program codes and URL links.

use serde_json::{Value, json};

use crate::support::{START, TestResponse, TestSimulator, errcode, text};

async fn code(wechat: &TestSimulator, over: Value) -> TestResponse {
    let mut body = json!({"scene": "id=7", "page": "pages/order", "width": 280});
    for (name, value) in over.as_object().unwrap() {
        body[name] = value.clone();
    }
    let token = wechat.access_token().await;
    let path = format!("/wxa/getwxacodeunlimit?access_token={token}");
    wechat.send("POST", &path, body.to_string()).await
}

async fn link(wechat: &TestSimulator, over: Value) -> Value {
    let mut body =
        json!({"path": "pages/order", "query": "id=7", "expire_type": 1, "expire_interval": 30});
    for (name, value) in over.as_object().unwrap() {
        body[name] = value.clone();
    }
    let token = wechat.access_token().await;
    let path = format!("/wxa/generate_urllink?access_token={token}");
    wechat.post(&path, body).await
}

/// The contents of a PNG file's chunks with this name.
fn chunks<'a>(mut file: &'a [u8], name: &[u8]) -> Vec<&'a [u8]> {
    file = file.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
    let mut found = Vec::new();
    while !file.is_empty() {
        let length = u32::from_be_bytes(file[..4].try_into().unwrap()) as usize;
        if &file[4..8] == name {
            found.push(&file[8..8 + length]);
        }
        file = &file[12 + length..];
    }
    found
}

#[tokio::test]
async fn a_code_is_a_picture_that_says_where_it_leads() {
    let wechat = TestSimulator::new();
    let answer = code(&wechat, json!({})).await;
    assert_eq!(answer.content_type, "image/png");
    let header = chunks(&answer.body, b"IHDR")[0];
    assert_eq!(header[..10], [0, 0, 1, 24, 0, 0, 1, 24, 1, 0]);
    let said = chunks(&answer.body, b"tEXt")[0];
    let said = said.strip_prefix(b"mini-program-code\0").unwrap();
    let said: Value = serde_json::from_slice(said).unwrap();
    assert_eq!(
        (&said["scene"], &said["page"], &said["envVersion"]),
        (&json!("id=7"), &json!("pages/order"), &json!("release"))
    );
    assert_eq!(code(&wechat, json!({})).await.body, answer.body);
    assert_ne!(
        code(&wechat, json!({"scene": "id=8"})).await.body,
        answer.body
    );
}

#[tokio::test]
async fn invalid_codes_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let pages = ["pages/order".to_owned()];
    wechat.simulator.set_pages(pages, None).unwrap();
    for (over, expected) in [
        (json!({"scene": ""}), 40169),
        (json!({"scene": "x".repeat(33)}), 40169),
        (json!({"scene": "a b"}), 40129),
        (json!({"scene": "scancode_time=1"}), 85096),
        (json!({"scene": 7}), 47001),
        (json!({"page": "pages/gone"}), 41030),
        (json!({"page": "/pages/order"}), 41030),
        (json!({"page": "pages/order?id=7"}), 41030),
        (json!({"width": 279}), 40097),
        (json!({"width": 1281}), 40097),
        (json!({"env_version": "formal"}), 40097),
    ] {
        let answer = code(&wechat, over.clone()).await;
        assert_eq!(errcode(&answer.json()), expected, "{over}");
    }
    for over in [
        json!({"page": "pages/gone", "check_path": false}),
        json!({"page": "", "env_version": "develop"}),
    ] {
        assert_eq!(code(&wechat, over).await.content_type, "image/png");
    }
}

#[tokio::test]
async fn codes_have_a_quota_per_minute_and_links_one_per_day() {
    let wechat = TestSimulator::new();
    let quotas = json!({"quotas": {"codes": 1, "links": 1}}).to_string();
    wechat.send("PUT", "/_control/quotas", quotas).await;
    code(&wechat, json!({})).await;
    link(&wechat, json!({})).await;
    assert_eq!(errcode(&code(&wechat, json!({})).await.json()), 45009);
    assert_eq!(errcode(&link(&wechat, json!({})).await), 45009);
    wechat.advance(60);
    assert_eq!(code(&wechat, json!({})).await.content_type, "image/png");
    assert_eq!(errcode(&link(&wechat, json!({})).await), 45009);
    wechat.advance(86_400);
    assert_eq!(errcode(&link(&wechat, json!({})).await), 0);
}

#[tokio::test]
async fn each_link_is_another_one() {
    let wechat = TestSimulator::new();
    let first = text(&link(&wechat, json!({})).await["url_link"]);
    let second = text(&link(&wechat, json!({"path": "", "query": ""})).await["url_link"]);
    assert!(first.starts_with("https://wxaurl.cn/"), "{first}");
    assert_ne!(first, second);
}

#[tokio::test]
async fn invalid_links_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let pages = ["pages/order".to_owned()];
    wechat.simulator.set_pages(pages, None).unwrap();
    for (over, expected) in [
        (json!({"path": "/pages/order"}), 40165),
        (json!({"path": "pages/gone"}), 40165),
        (json!({"query": "a b"}), 40212),
        (json!({"query": "x".repeat(1025)}), 40212),
        (json!({"expire_interval": 0}), 85401),
        (json!({"expire_interval": 31}), 85401),
        (json!({"expire_type": 0}), 85401),
        (json!({"expire_type": 0, "expire_time": START + 59}), 85401),
        (
            json!({"expire_type": 0, "expire_time": START + 30 * 86_400 + 1}),
            85401,
        ),
        (json!({"env_version": "formal"}), 85402),
    ] {
        let answer = link(&wechat, over.clone()).await;
        assert_eq!(errcode(&answer), expected, "{over}");
    }
    let soon = json!({"expire_type": 0, "expire_time": START + 60});
    assert_eq!(errcode(&link(&wechat, soon).await), 0);
}
