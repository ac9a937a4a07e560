//! Unknown paths and random input.

use http::StatusCode;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{TestSimulator, errcode};

const PATHS: [&str; 8] = [
    "/sns/jscode2session",
    "/cgi-bin/stable_token",
    "/cgi-bin/token",
    "/wxa/business/getuserphonenumber",
    "/wxa/checksession",
    "/wxa/resetusersessionkey",
    "/wxa/business/getuserencryptkey",
    "/wxa/msg_sec_check",
];

#[tokio::test]
async fn an_unknown_path_is_an_invalid_url() {
    let wechat = TestSimulator::new();
    assert_eq!(errcode(&wechat.get("/cgi-bin/nothing").await), 40066);
    assert_eq!(errcode(&wechat.post("/nothing", json!({})).await), 40066);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_query_and_body_gets_an_errcode(
        path in proptest::sample::select(&PATHS[..]),
        post in any::<bool>(),
        query in "[ -~&=%+]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let query: String = query.chars().filter(|c| !" \"<>#\\^`{|}".contains(*c)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(async {
            let wechat = TestSimulator::new();
            let token = wechat.access_token().await;
            let method = if post { "POST" } else { "GET" };
            wechat.send(method, &format!("{path}?access_token={token}&{query}"), body).await
        });
        prop_assert_eq!(answer.status, StatusCode::OK);
        prop_assert!(answer.json()["errcode"].as_i64().is_some_and(|code| code != 0));
    }
}
