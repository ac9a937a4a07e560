//! Accounts with pictures are merged, also while their store can't be used.

use e2e::{
    test_app::{SharedState::Redis, TestApp, Tokens},
    upload::PNG,
    wire_proxy::Fault,
};
use rstest::rstest;
use shared::{
    clock::Clock, config::Env, ids::UserId, instance::Instance, random::Random, saga::Progress,
};

use super::{
    avatar_url, confirm, faults::stop_half_way, fetch, other_png, published, start, upload_rows,
    uploaded,
};

fn id(tokens: &Tokens) -> UserId {
    tokens.user_id().parse().unwrap()
}

/// Merges as a function with this environment does, and finds the survivor in use.
async fn merge(app: &TestApp, env: Env, from: &Tokens, into: &Tokens) {
    let instance = Instance::new(env, Clock::Manual(app.clock.clone()), Random::System);
    let merge = instance.account_merge();
    let progress = merge.begin(id(from), id(into), None).await.unwrap();
    assert_eq!(progress, Progress::Done);
    app.api.info(&into.access).await.ok(200);
    let rows = format!("{:?}", app.rows().await);
    assert!(!rows.contains(&from.user_id()), "{rows}");
}

#[rstest]
#[case::down(Fault::Refuse)]
#[case::silent(Fault::BlackHole)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_a_store_that_is_down_change_hands(#[case] fault: Fault) {
    let app = TestApp::builder(Redis).avatars().proxied().start().await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let of_alice = published(&app, &alice, PNG).await;
    // Needs no row: it was never public.
    uploaded(&app, &alice, PNG).await;
    let of_bob = published(&app, &bob, PNG).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(fault).await;
    merge(&app, app.env(), &alice, &bob).await;
    assert_eq!(upload_rows(&app).await.len(), 2);
    assert_eq!(avatar_url(&app, &bob).await, of_bob);
    store.heal().await;
    assert_eq!(fetch(&of_alice).await.status, 200);
    // Bob's next picture sweeps it.
    published(&app, &bob, &other_png()).await;
    assert_eq!(fetch(&of_alice).await.status, 404);
    assert_eq!(upload_rows(&app).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_change_hands_after_avatars_were_switched_off() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let of_alice = published(&app, &alice, PNG).await;
    published(&app, &bob, PNG).await;
    let without = app.env_with(&[("AVATAR_BUCKET", "")]);
    merge(&app, without, &alice, &bob).await;
    assert_eq!(upload_rows(&app).await.len(), 2);
    assert_eq!(fetch(&of_alice).await.status, 200);
    // The bucket is back, and the account is deleted with the pictures of both.
    app.api.delete_account(&bob.access).await.ok(200);
    assert_eq!(fetch(&of_alice).await.status, 404);
    assert_eq!(app.object_keys(), Vec::<String>::new());
    assert_eq!(upload_rows(&app).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_being_published_changes_hands() {
    let app = start(Redis).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let form = uploaded(&app, &alice, PNG).await;
    confirm(&app, &alice, &form).await.ok(200);
    stop_half_way(&app, &alice, &form).await;
    merge(&app, app.env(), &alice, &bob).await;
    assert_eq!(
        (upload_rows(&app).await.len(), app.object_keys().len()),
        (1, 1)
    );
    app.clock.advance_seconds(60);
    published(&app, &bob, &other_png()).await;
    assert_eq!(
        (upload_rows(&app).await.len(), app.object_keys().len()),
        (1, 1)
    );
}
