//! What a form takes, and what it does not.

use e2e::{
    test_app::{SharedState::InProcess, TestApp, Tokens},
    upload::{PNG, StoreAnswer, client, multipart, post_form, send},
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{confirm, form, start};

/// An app, a user and a form for [`PNG`].
async fn with_form() -> (TestApp, Tokens, Value) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens, PNG.len()).await;
    (app, tokens, form)
}

fn refused(answer: &StoreAnswer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, &*answer.code()),
        (status, code),
        "{answer:?}"
    );
}

#[rstest]
#[case::svg("image/svg+xml", 10, "contentType")]
#[case::html("text/html", 10, "contentType")]
#[case::parameters("image/png; charset=utf-8", 10, "contentType")]
#[case::upper_case("IMAGE/PNG", 10, "contentType")]
#[case::nothing("image/png", 0, "size")]
#[case::too_large("image/png", 2_097_153, "size")]
#[case::far_too_large("image/png", usize::MAX / 2, "size")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_is_for_pictures_only(
    #[case] content_type: &str,
    #[case] size: usize,
    #[case] field: &str,
) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let answer = app
        .api
        .begin_avatar(&tokens.access, content_type, size)
        .await;
    answer.fails_at(&[field]);
    let largest = app
        .api
        .begin_avatar(&tokens.access, "image/webp", 2_097_152);
    largest.await.ok(200);
}

#[rstest]
#[case::not_a_text(json!({"key": 1}))]
#[case::another_prefix(json!({"key": "avatars/00000000000000000000000000000000"}))]
#[case::a_path(json!({"key": "uploads/../../000000000000000000000000000"}))]
#[case::an_address(json!({"key": "https://a.cn/x.png"}))]
#[case::a_bucket(json!({"key": "uploads/00000000000000000000000000000000", "bucket": "other"}))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_that_a_form_had(#[case] body: Value) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let request = app.api.request("PUT", "/api/v1/user/avatar");
    let answer = request.bearer(&tokens.access).json(&body).send().await;
    answer.fails(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_any_field_changed_removed_or_doubled_is_refused() {
    let (app, tokens, form) = with_form().await;
    let names: Vec<String> = form["fields"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
    for name in &names {
        let mut changed = form.clone();
        let value = form["fields"][name].as_str().unwrap();
        // Another value of the same length.
        let last = if value.ends_with('0') { "1" } else { "0" };
        changed["fields"][name] = format!("{}{last}", &value[..value.len() - 1]).into();
        let answer = post_form(&changed, PNG).await;
        assert!(matches!(answer.status, 400 | 403), "{name}: {answer:?}");
        let mut removed = form.clone();
        removed["fields"].as_object_mut().unwrap().remove(name);
        let answer = post_form(&removed, PNG).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "without {name}: {answer:?}"
        );
        // Twice, the second time in other letters.
        let mut doubled = form.clone();
        doubled["fields"][name.to_ascii_uppercase()] = value.into();
        refused(&post_form(&doubled, PNG).await, 400, "MalformedPOSTRequest");
    }
    assert_eq!(app.object_keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form)
        .await
        .fails(409, "upload_missing");
}

#[rstest]
#[case::readable_by_all("acl", "public-read")]
#[case::redirecting("success_action_redirect", "https://a.cn/")]
#[case::caching("Cache-Control", "no-store")]
#[case::for_another_bucket("bucket", "other")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_another_field_is_refused(#[case] name: &str, #[case] value: &str) {
    let (app, _, mut form) = with_form().await;
    form["fields"][name] = value.into();
    refused(&post_form(&form, PNG).await, 403, "AccessDenied");
    assert_eq!(app.object_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_type_key_or_policy_is_refused() {
    let (app, tokens, form) = with_form().await;
    for (name, value) in [
        ("Content-Type", "text/html"),
        ("Content-Type", "image/svg+xml"),
        ("key", "avatars/00000000000000000000000000000000.png"),
        ("key", "uploads/00000000000000000000000000000000"),
    ] {
        let mut changed = form.clone();
        changed["fields"][name] = value.into();
        refused(&post_form(&changed, PNG).await, 403, "AccessDenied");
    }
    // A policy that allows more breaks the signature.
    let mut changed = form.clone();
    let other = super::form(&app, &tokens, 2_000_000).await;
    changed["fields"]["policy"] = other["fields"]["policy"].clone();
    refused(
        &post_form(&changed, PNG).await,
        403,
        "SignatureDoesNotMatch",
    );
    assert_eq!(app.object_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_empty_or_larger_than_declared_is_refused() {
    let (app, _, form) = with_form().await;
    let larger = [PNG, b"\n"].concat();
    refused(&post_form(&form, &larger).await, 400, "EntityTooLarge");
    refused(&post_form(&form, b"").await, 400, "EntityTooSmall");
    assert_eq!(app.object_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_expires() {
    let (app, tokens, form) = with_form().await;
    app.clock.advance_seconds(299);
    assert_eq!(post_form(&form, PNG).await.status, 204);
    app.clock.advance_seconds(1);
    refused(&post_form(&form, PNG).await, 403, "AccessDenied");
    // What came in time can still be confirmed.
    confirm(&app, &tokens, &form).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_never_confirmed_is_forgotten_after_a_day() {
    let (app, _, form) = with_form().await;
    post_form(&form, PNG).await;
    app.clock.advance_seconds(24 * 3600 + 300);
    let tokens = app.log_in("alice").await;
    confirm(&app, &tokens, &form).await.fails(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_half_way_leaves_nothing() {
    let (app, tokens, form) = with_form().await;
    let (content_type, body) = multipart(&form["fields"], PNG);
    let url = form["url"].as_str().unwrap();
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..body.len() - 60]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.contains("400"), "{answer}");
    assert_eq!(app.object_keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form)
        .await
        .fails(409, "upload_missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_without_a_form_is_refused() {
    let (_app, _, form) = with_form().await;
    let url = form["url"].as_str().unwrap();
    refused(
        &send(client().post(url).body("{}")).await,
        400,
        "MalformedPOSTRequest",
    );
    let (content_type, _) = multipart(&form["fields"], PNG);
    let request = client().post(url).header("content-type", content_type);
    assert_eq!(send(request.body("no boundary")).await.status, 400);
}
