//! The merge of two accounts, whose process is killed between any two of its writes: it ends in one
//! account, or in the two as they were.

use e2e::{
    binaries,
    dynamodb::Item,
    events::HttpApi,
    http::Answer,
    runtime_api::FunctionUnderTest,
    settings::{APP_ID, AWS_ENVIRONMENT, OTHER_APP_ID},
    test_app::Tokens,
    within_patience,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::{clock::Clock, config::Env, instance::Instance, random::Random};
use wechat_simulator::{UnionId, UserChange};

use crate::{
    harness::{LambdaHarness, answer},
    writes::{Writes, end_leases},
};

/// The functions that run in processes of their own to the end.
struct Functions {
    login: FunctionUnderTest,
    user_data: FunctionUnderTest,
    user_info: FunctionUnderTest,
    account: FunctionUnderTest,
}

/// A person who is two users.
struct Person {
    name: String,
    /// The older one, who has no union id, number or nickname.
    into: Tokens,
    /// The newer one.
    from: Tokens,
}

/// What continues a merge.
#[derive(Clone, Copy, Debug)]
enum Continuation {
    LoginOfTheOlder,
    LoginOfTheNewer,
    Operator,
}

fn login_there(harness: &LambdaHarness, person: &str, app_id: &str) -> Value {
    let code = harness.wechat.mint_code(person, Some(app_id)).unwrap();
    let login = HttpApi::new("POST", "/api/v1/user/login");
    login.json(&json!({"code": code, "appId": app_id})).event()
}

async fn call(
    function: &FunctionUnderTest,
    method: &str,
    path: &str,
    tokens: &Tokens,
    body: &Value,
) -> Answer {
    let call = HttpApi::new(method, path).bearer(&tokens.access).json(body);
    answer(function, &call.event()).await
}

impl Functions {
    fn start(harness: &LambdaHarness) -> Self {
        Self {
            login: harness.function("login"),
            user_data: harness.function("user-data"),
            user_info: harness.function("user-info"),
            account: harness.function("account"),
        }
    }

    /// Somebody who logged in in one mini-program without a union id, and in the other one with it.
    async fn person(&self, harness: &LambdaHarness, name: String) -> Person {
        let here = login_there(harness, &name, APP_ID);
        let into = Tokens::of(&answer(&self.login, &here).await);
        let change = UserChange {
            union_id: Some(UnionId::Derived),
            ..UserChange::default()
        };
        harness.wechat.change_user(&name, change).unwrap();
        let there = login_there(harness, &name, OTHER_APP_ID);
        let from = Tokens::of(&answer(&self.login, &there).await);
        assert_ne!(from.user_id(), into.user_id());
        let code = harness.wechat.phone_code(&name, Some(OTHER_APP_ID));
        let number = json!({"code": code.unwrap()});
        let bound = call(
            &self.user_data,
            "POST",
            "/api/v1/user/phone",
            &from,
            &number,
        );
        bound.await.ok(200);
        let nickname = json!({"nickname": "昵称"});
        let changed = call(
            &self.user_info,
            "PATCH",
            "/api/v1/user/info",
            &from,
            &nickname,
        );
        changed.await.ok(200);
        for (tokens, document, version) in [
            (&from, "privacy", 3),
            (&from, "terms", 2),
            (&into, "terms", 1),
        ] {
            let path = format!("/api/v1/user/consents/{document}");
            let body = json!({"version": version});
            let agreed = call(&self.account, "PUT", &path, tokens, &body);
            agreed.await.ok(200);
        }
        Person { name, into, from }
    }
}

/// Kills the login that begins the merge at its write number `at`. Whether it got that far.
async fn kill_at(harness: &LambdaHarness, person: &Person, at: usize, carried_out: bool) -> bool {
    let (writes, url) = Writes::start(harness.table.url(), at, carried_out).await;
    let settings = harness
        .settings
        .clone()
        .with("UNION_CONFLICT", "merge")
        .with("AWS_ENDPOINT_URL_DYNAMODB", &url);
    let login = FunctionUnderTest::spawn(binaries::path("login"), settings.variables());
    let event = login_there(harness, &person.name, APP_ID);
    let is_stuck = tokio::select! {
        answered = answer(&login, &event) => {
            assert_eq!(Tokens::of(&answered).user_id(), person.into.user_id());
            false
        }
        () = writes.stuck.notified() => true,
    };
    login.process().signal(Signal::KILL);
    within_patience("the end of the function", login.wait_exit()).await;
    is_stuck
}

/// What an operator does with `make sagas`.
async fn resume_all(harness: &LambdaHarness) {
    let variables = harness.settings.variables().iter().cloned();
    let aws = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = Env::new(variables.chain(aws));
    let instance = Instance::new(env, Clock::System, Random::System);
    let sagas = instance.account_sagas();
    for saga in instance.sagas().unfinished(100).await.unwrap() {
        sagas.resume(&saga.id).await.unwrap();
    }
}

impl Continuation {
    const ALL: [Self; 3] = [Self::LoginOfTheOlder, Self::LoginOfTheNewer, Self::Operator];

    async fn run(self, harness: &LambdaHarness, functions: &Functions, person: &Person) {
        end_leases(harness).await;
        let app_id = match self {
            Self::LoginOfTheOlder => APP_ID,
            Self::LoginOfTheNewer => OTHER_APP_ID,
            Self::Operator => return resume_all(harness).await,
        };
        let event = login_there(harness, &person.name, app_id);
        answer(&functions.login, &event).await.ok(200);
    }
}

fn text<'a>(row: &'a Item, name: &str) -> &'a str {
    row[name].as_s().unwrap()
}

async fn profile(harness: &LambdaHarness, tokens: &Tokens) -> Option<Item> {
    let pk = format!("USER#{}", tokens.user_id());
    harness.table.item(&pk, "PROFILE").await
}

/// Whether the accounts are one; in either case completely.
async fn is_one(harness: &LambdaHarness, person: &Person, what: &str) -> bool {
    let rows = harness.table.items().await;
    for saga in rows
        .iter()
        .filter(|row| text(row, "pk").starts_with("SAGA#"))
    {
        assert!(saga.contains_key("outcome"), "{what}: {saga:?}");
        assert!(!saga.contains_key("subject"), "{what}: {saga:?}");
    }
    let into = profile(harness, &person.into).await.unwrap();
    let from = profile(harness, &person.from).await;
    let owner = if from.is_some() {
        &person.from
    } else {
        &person.into
    };
    let left = format!("{rows:?}").contains(&person.from.user_id());
    assert_eq!(left, from.is_some(), "{what}: {rows:?}");
    if from.is_none() {
        let remembered = harness.remembered(&person.from.user_id()).await;
        assert!(remembered.is_empty(), "{what}: {remembered:?}");
    }
    for profile in [Some(&into), from.as_ref()].into_iter().flatten() {
        assert_eq!(text(profile, "status"), "active", "{what}");
        for absent in ["barredBy", "statusBefore", "deleting"] {
            assert!(!profile.contains_key(absent), "{what}: {absent}");
        }
    }
    let owner_row = from.as_ref().unwrap_or(&into);
    assert_eq!(text(owner_row, "nickname"), "昵称", "{what}");
    let number = harness
        .table
        .item(text(owner_row, "phoneClaim"), "OWNER")
        .await;
    assert_eq!(text(&number.unwrap(), "uid"), owner.user_id(), "{what}");
    let versions = owner_row["consents"].as_m().unwrap();
    let version = |document: &str| versions[document].as_n().unwrap().clone();
    assert_eq!(
        (version("privacy"), version("terms")),
        ("3".into(), "2".into()),
        "{what}"
    );
    let partition = harness
        .table
        .partition(&format!("USER#{}", owner.user_id()))
        .await;
    let consents = partition
        .iter()
        .filter(|row| text(row, "sk").starts_with("CONSENT#"));
    let wanted = if from.is_some() { 2 } else { 3 };
    assert_eq!(consents.count(), wanted, "{what}");
    let identities = into["identities"].as_ss().unwrap().len();
    assert_eq!(identities, if from.is_some() { 1 } else { 2 }, "{what}");
    from.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_is_killed_at_any_write_ends_in_one_account_or_in_two() {
    let harness = LambdaHarness::start().await;
    let functions = Functions::start(&harness);
    let mut continuations = Continuation::ALL.into_iter().cycle();
    let (mut killed, mut merged) = (0, 0);
    for carried_out in [false, true] {
        for at in 0.. {
            let name = format!("person{at}{carried_out}");
            let person = functions.person(&harness, name).await;
            let what = format!("killed at write {at}, carried out: {carried_out}");
            let is_killed = kill_at(&harness, &person, at, carried_out).await;
            if is_killed {
                killed += 1;
                let continuation = continuations.next().unwrap();
                continuation.run(&harness, &functions, &person).await;
            }
            let is_one = is_one(&harness, &person, &what).await;
            merged += usize::from(is_one);
            both_log_in(&harness, &functions, &person, is_one, &what).await;
            if !is_killed {
                assert!(is_one);
                println!("a login that merges makes {at} writes");
                break;
            }
        }
    }
    assert!(
        killed > 40 && merged > 30,
        "{killed} killed, {merged} merged"
    );
}

/// Each identity logs in to the account that it has now, and the tokens of the other one are refused.
async fn both_log_in(
    harness: &LambdaHarness,
    functions: &Functions,
    person: &Person,
    is_one: bool,
    what: &str,
) {
    let from = if is_one { &person.into } else { &person.from };
    for (app_id, tokens) in [(APP_ID, &person.into), (OTHER_APP_ID, from)] {
        let event = login_there(harness, &person.name, app_id);
        let login = Tokens::of(&answer(&functions.login, &event).await);
        assert_eq!(login.user_id(), tokens.user_id(), "{what}");
    }
    for (tokens, is_there) in [(&person.into, true), (&person.from, !is_one)] {
        let info = HttpApi::new("GET", "/api/v1/user/info").bearer(&tokens.access);
        let info = answer(&functions.user_info, &info.event()).await;
        assert_eq!(info.status, if is_there { 200 } else { 401 }, "{what}");
    }
}
