//! `POST /api/v1/user/login`, with state in the process and with a real Redis.

mod codes;
mod failures;
mod phone;
mod session_key;
mod union;
mod users;

use e2e::{
    http::Client,
    settings::{APP_ID, Settings},
    test_app::{CODE2SESSION, TestApp},
};
use serde_json::Value;

/// Redeems the code as another server would.
async fn code2session(app: &TestApp, code: &str) -> Value {
    let env = app.env();
    let secret = Settings::secrets()[0].1;
    let wechat = Client::new(env.get("WECHAT_BASE_URL").unwrap());
    let query =
        format!("appid={APP_ID}&secret={secret}&js_code={code}&grant_type=authorization_code");
    let (_, _, body) = wechat
        .request("GET", &format!("{CODE2SESSION}?{query}"))
        .send_raw()
        .await;
    serde_json::from_slice(&body).unwrap()
}
