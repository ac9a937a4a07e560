//! Uploaded avatars: `POST` and `PUT /api/v1/user/avatar`.

mod barred;
mod check;
mod choices;
mod deletion;
mod faults;
mod foreign;
mod forms;
mod late;
mod merging;
mod profile;
mod verdicts;

use e2e::{
    http::Answer,
    test_app::{SharedState, TestApp, Tokens},
    upload::{PNG, StoreAnswer, post_form},
};
use serde_json::Value;

async fn start(state: SharedState) -> TestApp {
    TestApp::builder(state).avatars().start().await
}

/// The form for a PNG of this size.
async fn form(app: &TestApp, tokens: &Tokens, size: usize) -> Value {
    let answer = app.api.begin_avatar(&tokens.access, "image/png", size);
    answer.await.ok(200).clone()
}

/// A form that was posted.
async fn uploaded(app: &TestApp, tokens: &Tokens, picture: &[u8]) -> Value {
    let form = form(app, tokens, picture.len()).await;
    let answer = post_form(&form, picture).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    form
}

fn key(form: &Value) -> &str {
    form["key"].as_str().unwrap()
}

async fn confirm(app: &TestApp, tokens: &Tokens, form: &Value) -> Answer {
    app.api.confirm_avatar(&tokens.access, key(form)).await
}

/// A page's steps, up to the address of the picture.
async fn published(app: &TestApp, tokens: &Tokens, picture: &[u8]) -> String {
    let form = uploaded(app, tokens, picture).await;
    let answer = confirm(app, tokens, &form).await;
    url_of(answer.ok(200))
}

fn url_of(confirmed: &Value) -> String {
    assert_eq!(confirmed["status"], "published");
    confirmed["user"]["avatarUrl"].as_str().unwrap().to_owned()
}

/// Another picture than [`PNG`].
fn other_png() -> Vec<u8> {
    [PNG, b"\n"].concat()
}

async fn avatar_url(app: &TestApp, tokens: &Tokens) -> Value {
    app.api.info(&tokens.access).await.ok(200)["avatarUrl"].clone()
}

async fn fetch(url: &str) -> StoreAnswer {
    e2e::upload::fetch(url).await
}

/// The keys of the rows of uploads and checks.
async fn upload_rows(app: &TestApp) -> Vec<(String, String)> {
    let rows = app.rows().await;
    let keys = rows.into_keys();
    keys.filter(|(pk, sk)| sk.starts_with("UPLOAD#") || pk.starts_with("MEDIACHECK#"))
        .collect()
}
