//! Users for administrators: `/api/v1/users` and what is below it, with state in the process and with
//! a real Redis.

mod access;
mod change;
mod deletion;
mod list;
mod move_in;
mod sessions;

use e2e::{
    settings::APP_ID,
    test_app::{TestApp, Tokens},
};
use serde_json::{Value, json};

/// An id that is no user's.
const NOBODY: &str = "0193c0de-0000-7000-8000-00000000abcd";

/// An app with an administrator and a user.
async fn root_and_alice(app: &TestApp) -> (Tokens, Tokens) {
    (app.administrator("root").await, app.log_in("alice").await)
}

/// What another backend knows of a person in the default mini-program.
fn person(app: &TestApp, name: &str) -> Value {
    let open_id = app.wechat.open_id(name, Some(APP_ID)).unwrap();
    json!({"nickname": format!("{name} 小"), "identities": [{"appId": APP_ID, "openId": open_id}]})
}
