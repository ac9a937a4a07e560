//! All rows of a user are found, in an order in which they can be deleted.

use std::collections::BTreeSet;

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp, Tokens,
};
use futures_util::TryStreamExt;
use rstest::rstest;
use shared::{
    clock::Clock,
    instance::Instance,
    random::Random,
    users::{UserRow, UserRows},
};

use super::{start, with_everything};

type Key = (String, String);

fn user_rows(app: &TestApp) -> UserRows {
    let clock = Clock::Manual(app.clock.clone());
    Instance::new(app.env(), clock, Random::System).user_rows()
}

fn key(row: &UserRow) -> Key {
    (row.pk().to_owned(), row.sk().to_owned())
}

/// The keys of all rows of a user, in the order in which they are found.
async fn found(app: &TestApp, tokens: &Tokens) -> Vec<Key> {
    let rows = user_rows(app).of(tokens.user_id().parse().unwrap());
    let rows: Vec<_> = Box::pin(rows.try_collect()).await.unwrap();
    for row in &rows {
        assert!(row.kind.is_some(), "{row:?}");
    }
    rows.iter().map(key).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_a_user_is_found_and_no_other(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let alice = with_everything(&app, "alice").await;
    let alices: BTreeSet<_> = app.rows().await.into_keys().collect();
    let bob = with_everything(&app, "bob").await;
    let both: BTreeSet<_> = app.rows().await.into_keys().collect();
    let bobs: BTreeSet<_> = both.difference(&alices).cloned().collect();
    for (tokens, wanted) in [(&alice, &alices), (&bob, &bobs)] {
        let found = found(&app, tokens).await;
        let different: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!((&different, found.len()), (wanted, wanted.len()));
    }
}

/// A walk that deletes each row it finds, and dies after any of them, is repeated and leaves nothing.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_deletion_of_what_is_found_finds_the_rest_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = with_everything(&app, "alice").await;
    let count = app.rows().await.len();
    for gone in 0..count {
        let left: BTreeSet<_> = app.rows().await.into_keys().collect();
        let found = found(&app, &tokens).await;
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), left);
        assert_eq!(left.len(), count - gone);
        let (pk, sk) = &found[0];
        app.remove_row(pk, sk).await;
    }
    assert_eq!(found(&app, &tokens).await, []);
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_profile_the_partition_is_still_found(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let pk = format!("USER#{}", tokens.user_id());
    app.remove_row(&pk, "PROFILE").await;
    let sk = format!("SESSION#{}", tokens.session_id());
    assert_eq!(found(&app, &tokens).await, [(pk, sk)]);
}
