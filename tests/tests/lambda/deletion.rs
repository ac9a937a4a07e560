//! The deletion of an account, whose process is killed between any two of its writes.

use std::future::ready;

use e2e::{
    binaries,
    events::HttpApi,
    objects::{BUCKET, serve, store},
    runtime_api::FunctionUnderTest,
    settings::{APP_ID, AWS_ENVIRONMENT, OTHER_APP_ID},
    test_app::Tokens,
    upload::{PNG, post_form},
    within_patience,
};
use futures_util::join;
use local::ObjectStore;
use rustix::process::Signal;
use serde_json::json;
use shared::{clock::Clock, config::Env, instance::Instance, random::Random, saga::Progress};
use wechat_simulator::{UnionId, UserChange};

use crate::{
    harness::{LambdaHarness, answer, login_event},
    writes::{Writes, end_leases},
};

/// The harness, with a store of its own for avatars.
async fn with_store() -> (LambdaHarness, ObjectStore) {
    let mut harness = LambdaHarness::start().await;
    let store = store(Clock::System);
    let url = format!("http://127.0.0.1:{}/s3", serve(&store).await);
    harness.settings = harness
        .settings
        .with("AWS_ENDPOINT_URL_S3", &url)
        .with("AVATAR_UPLOAD_URL", &format!("{url}/{BUCKET}"));
    (harness, store)
}

/// The functions with which somebody comes to have something.
struct Functions {
    login: FunctionUnderTest,
    user_data: FunctionUnderTest,
    avatar: FunctionUnderTest,
}

/// A picture that is shown, one that was uploaded, and a form that was not used.
async fn upload_pictures(avatar: &FunctionUnderTest, tokens: &Tokens) {
    let call = |method, body: &serde_json::Value| {
        let call = HttpApi::new(method, "/api/v1/user/avatar").bearer(&tokens.access);
        call.json(body).event()
    };
    let begin = call(
        "POST",
        &json!({"contentType": "image/png", "size": PNG.len()}),
    );
    for is_confirmed in [true, false] {
        let form = answer(avatar, &begin).await;
        let form = form.ok(200);
        assert_eq!(post_form(form, PNG).await.status, 204);
        if is_confirmed {
            let confirm = call("PUT", &json!({"key": form["key"]}));
            answer(avatar, &confirm).await.ok(200);
        }
    }
    answer(avatar, &begin).await.ok(200);
}

/// Somebody with identities in two mini-programs, a union id, a number, two sessions and pictures.
async fn somebody(harness: &LambdaHarness, functions: &Functions, person: &str) -> Tokens {
    let Functions {
        login,
        user_data,
        avatar,
    } = functions;
    let change = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    harness.wechat.change_user(person, change).unwrap();
    let code = harness
        .wechat
        .mint_code(person, Some(OTHER_APP_ID))
        .unwrap();
    let there = HttpApi::new("POST", "/api/v1/user/login")
        .json(&json!({"code": code, "appId": OTHER_APP_ID}));
    answer(login, &there.event()).await.ok(200);
    let tokens = harness.log_in(login, person).await;
    let phone = harness.wechat.phone_code(person, Some(APP_ID)).unwrap();
    let bind = HttpApi::new("POST", "/api/v1/user/phone")
        .bearer(&tokens.access)
        .json(&json!({"code": phone}));
    answer(user_data, &bind.event()).await.ok(200);
    upload_pictures(avatar, &tokens).await;
    tokens
}

fn deletion(tokens: &Tokens) -> serde_json::Value {
    HttpApi::new("DELETE", "/api/v1/user")
        .bearer(&tokens.access)
        .event()
}

/// Kills a deletion at its write number `at`, where it stands still during `meanwhile`. Whether it got
/// that far.
async fn kill_at(
    harness: &LambdaHarness,
    tokens: &Tokens,
    (at, carried_out): (usize, bool),
    meanwhile: impl Future<Output = ()>,
) -> bool {
    let (writes, url) = Writes::start(harness.table.url(), at, carried_out).await;
    let settings = harness
        .settings
        .clone()
        .with("AWS_ENDPOINT_URL_DYNAMODB", &url);
    let account = FunctionUnderTest::spawn(binaries::path("account"), settings.variables());
    let event = deletion(tokens);
    let is_stuck = tokio::select! {
        answered = answer(&account, &event) => {
            answered.ok(200);
            false
        }
        () = async { writes.stuck.notified().await; meanwhile.await; } => true,
    };
    account.process().signal(Signal::KILL);
    within_patience("the end of the function", account.wait_exit()).await;
    is_stuck
}

/// Everything about the person is gone from the table, and every picture from the store.
async fn assert_gone(harness: &LambdaHarness, store: &ObjectStore, tokens: &Tokens, what: &str) {
    assert_eq!(store.keys().unwrap(), Vec::<String>::new(), "{what}");
    let content = format!("{:?}", harness.table.items().await);
    let kinds = ["IDENTITY", "OWNER", "UPLOAD"].map(str::to_owned);
    for gone in kinds.into_iter().chain([tokens.user_id()]) {
        assert!(
            !content.contains(&gone),
            "{what}: {gone} is left in {content}"
        );
    }
    let remembered = harness.remembered(&tokens.user_id()).await;
    assert!(remembered.is_empty(), "{what}: {remembered:?}");
}

/// What an operator does with `make sagas`.
async fn resume_all(harness: &LambdaHarness) {
    let variables = harness.settings.variables().iter().cloned();
    let aws = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = Env::new(variables.chain(aws));
    let instance = Instance::new(env, Clock::System, Random::System);
    let deletion = instance.account_deletion();
    for saga in instance.sagas().unfinished(100).await.unwrap() {
        assert_eq!(deletion.resume(&saga.id).await.unwrap(), Progress::Done);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_killed_at_any_write_is_completed() {
    let (harness, store) = with_store().await;
    let functions = Functions {
        login: harness.function("login"),
        user_data: harness.function("user-data"),
        avatar: harness.function("avatar"),
    };
    let mut killed = 0;
    for carried_out in [false, true] {
        for at in 0.. {
            let what = format!("killed at write {at}, carried out: {carried_out}");
            // WeChat limits how often one person may log in.
            let person = format!("person{killed}");
            let tokens = somebody(&harness, &functions, &person).await;
            if !kill_at(&harness, &tokens, (at, carried_out), ready(())).await {
                assert_gone(&harness, &store, &tokens, &what).await;
                break;
            }
            killed += 1;
            complete(&harness, &functions.login, (&person, &tokens), &what).await;
            assert_gone(&harness, &store, &tokens, &what).await;
        }
    }
    // Two of each of the three uploads, carried out or not.
    assert!(killed > 20 + 12, "{killed}");
}

/// The person logs in again, which completes the deletion if it had begun; or it had not.
async fn complete(
    harness: &LambdaHarness,
    login: &FunctionUnderTest,
    (person, tokens): (&str, &Tokens),
    what: &str,
) {
    end_leases(harness).await;
    let again = answer(login, &login_event(&harness.code(person))).await;
    let again = Tokens::of(&again);
    if again.user_id() == tokens.user_id() {
        // It had not begun.
        for saga in harness.table.items_under("SAGA#").await {
            assert!(saga.contains_key("outcome"), "{what}: {saga:?}");
        }
        let account = harness.function("account");
        answer(&account, &deletion(&again)).await.ok(200);
    } else {
        resume_all(harness).await;
        let content = format!("{:?}", harness.table.items().await);
        assert!(!content.contains(&tokens.user_id()), "{what}: {content}");
        let account = harness.function("account");
        answer(&account, &deletion(&again)).await.ok(200);
    }
}

/// What the person does while their account is being deleted: logs in, refreshes, binds a number and
/// deletes it a second time. Each is answered, and by nothing that is ours to blame.
async fn race(
    harness: &LambdaHarness,
    functions: &Functions,
    account: &FunctionUnderTest,
    (person, tokens): (&str, &Tokens),
    what: &str,
) {
    let phone = harness.wechat.phone_code(person, Some(APP_ID)).unwrap();
    let call = |method, path, body: &serde_json::Value| {
        let call = HttpApi::new(method, path).bearer(&tokens.access);
        call.json(body).event()
    };
    let [login, refresh, bind, delete] = [
        login_event(&harness.code(person)),
        call(
            "POST",
            "/api/v1/user/refresh",
            &json!({"refreshToken": tokens.refresh}),
        ),
        call("POST", "/api/v1/user/phone", &json!({"code": phone})),
        deletion(tokens),
    ];
    let token = harness.function("token");
    let (login, refresh, bind, delete) = join!(
        answer(&functions.login, &login),
        answer(&token, &refresh),
        answer(&functions.user_data, &bind),
        answer(account, &delete),
    );
    for (answer, expected) in [
        // A session, or that somebody else has the account.
        (&login, &[200, 409, 503][..]),
        (&refresh, &[200, 401, 503]),
        (&bind, &[200, 401, 404, 503]),
        (&delete, &[200, 202, 401, 503]),
    ] {
        assert!(expected.contains(&answer.status), "{what}: {answer:?}");
    }
}

/// The same with the person's requests at the same time, which come while the deletion stands still and
/// begin, complete or survive it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_is_killed_while_others_race_it_is_completed() {
    let (harness, store) = with_store().await;
    let functions = Functions {
        login: harness.function("login"),
        user_data: harness.function("user-data"),
        avatar: harness.function("avatar"),
    };
    let account = harness.function("account");
    let mut killed = 0;
    for at in 0.. {
        // Either half of the crashes, in turn.
        let carried_out = at % 2 == 0;
        let what = format!("raced and killed at write {at}, carried out: {carried_out}");
        let person = format!("racer{at}");
        let tokens = somebody(&harness, &functions, &person).await;
        let meanwhile = race(&harness, &functions, &account, (&person, &tokens), &what);
        if !kill_at(&harness, &tokens, (at, carried_out), meanwhile).await {
            break;
        }
        killed += 1;
        end_leases(&harness).await;
        let again = answer(&functions.login, &login_event(&harness.code(&person))).await;
        let again = Tokens::of(&again);
        resume_all(&harness).await;
        if again.user_id() != tokens.user_id() {
            let content = format!("{:?}", harness.table.items().await);
            assert!(!content.contains(&tokens.user_id()), "{what}: {content}");
        }
        answer(&account, &deletion(&again)).await.ok(200);
        for tokens in [&tokens, &again] {
            assert_gone(&harness, &store, tokens, &what).await;
        }
    }
    assert!(killed > 20, "{killed}");
}
