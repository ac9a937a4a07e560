//! `make run` stores avatars: from the form to the picture, checked by the simulated WeChat.

use std::{path::Path, time::Duration};

use e2e::{
    test_app::Tokens,
    upload::{PNG, fetch, post_form},
    within_patience,
};
use rustix::process::Signal;
use serde_json::Value;
use wechat_simulator::RISKY_KEYWORD;

use crate::gateway::{ANY_PORT, Running};

async fn start(folder: &Path) -> Running {
    Running::start(folder, &[ANY_PORT, ("CONTENT_CHECK", "on")]).await
}

async fn uploaded(running: &Running, tokens: &Tokens, picture: &[u8]) -> Value {
    let begun = running
        .api
        .begin_avatar(&tokens.access, "image/png", picture.len());
    let form = begun.await.ok(200).clone();
    assert_eq!(post_form(&form, picture).await.status, 204);
    form
}

/// Confirms until WeChat has judged; returns status and reason or address.
async fn judged(running: &Running, tokens: &Tokens, form: &Value) -> (u16, String) {
    let key = form["key"].as_str().unwrap();
    let judged = async {
        loop {
            let answer = running.api.confirm_avatar(&tokens.access, key).await;
            if answer.status != 202 {
                let url = answer.data()["user"]["avatarUrl"].as_str();
                let outcome = url.or(answer.reason()).unwrap_or_default();
                return (answer.status, outcome.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within_patience("a verdict", judged).await
}

fn files(folder: &Path, prefix: &str) -> usize {
    let folder = folder.join(".data/objects").join(prefix);
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_stored_checked_and_served_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path()).await;
    let tokens = Tokens::of(&running.api.login(&running.code("alice").await).await);
    let form = uploaded(&running, &tokens, PNG).await;
    let (status, url) = judged(&running, &tokens, &form).await;
    assert_eq!(status, 200, "{url}");
    let shown = fetch(&url).await;
    assert_eq!((shown.status, &*shown.body), (200, PNG));
    assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
    let risky = [PNG, RISKY_KEYWORD.as_bytes()].concat();
    let form = uploaded(&running, &tokens, &risky).await;
    let outcome = judged(&running, &tokens, &form).await;
    assert_eq!(outcome, (400, "content_risky".to_owned()));
    uploaded(&running, &tokens, PNG).await;
    assert_eq!(files(folder.path(), "uploads"), 1, "abandoned");
    running.end(Signal::INT).await;
    let running = start(folder.path()).await;
    assert_eq!(files(folder.path(), "uploads"), 0);
    let (_, path) = url.split_once("/_cdn/").unwrap();
    let shown = fetch(&format!("{}/_cdn/{path}", running.api.url)).await;
    assert_eq!((shown.status, &*shown.body), (200, PNG));
    running.end(Signal::INT).await;
}

/// That table outlives the process, so the pictures do, too; and another process may be uploading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_uploads_survive_a_restart_with_the_dynamodb_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Running::start(folder.path(), &[ANY_PORT]).await;
    let table = format!("http://{}", owner.database());
    let variables = [ANY_PORT, ("AWS_ENDPOINT_URL_DYNAMODB", &*table)];
    let running = Running::start(folder.path(), &variables).await;
    let tokens = Tokens::of(&running.api.login(&running.code("alice").await).await);
    let form = uploaded(&running, &tokens, PNG).await;
    running.end(Signal::INT).await;
    let running = Running::start(folder.path(), &variables).await;
    let (status, url) = judged(&running, &tokens, &form).await;
    assert_eq!(status, 200, "{url}");
    running.end(Signal::INT).await;
    let (_, path) = url.split_once("/_cdn/").unwrap();
    let running = Running::start(folder.path(), &variables).await;
    let shown = fetch(&format!("{}/_cdn/{path}", running.api.url)).await;
    assert_eq!((shown.status, &*shown.body), (200, PNG));
    running.end(Signal::INT).await;
    owner.end(Signal::INT).await;
}
