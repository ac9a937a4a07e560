//! `GET /api/v1/users`, and the search for a phone number.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicBool, Ordering},
};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::{
    dynamodb::{Item, TABLE},
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{person, root_and_alice};

/// The ids on a page.
fn ids(page: &Answer) -> Vec<String> {
    let users = page.ok(200)["users"].as_array().unwrap().iter();
    users
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The query of the page after this one.
fn next(page: &Answer, query: &str) -> Option<String> {
    let cursor = page.data()["cursor"].as_str()?;
    Some(format!("{query}&cursor={cursor}"))
}

/// The ids on all pages, from the first one on.
async fn all(app: &TestApp, root: &Tokens, query: &str) -> Vec<String> {
    let (mut listed, mut page) = (Vec::new(), Some(query.to_owned()));
    while let Some(query_of_page) = page {
        let answer = app.api.users(&root.access, &query_of_page).await;
        listed.extend(ids(&answer));
        page = next(&answer, query);
    }
    listed
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_listed_newest_first(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let mut wanted = vec![root.user_id()];
    for number in 0..7 {
        app.clock.advance_seconds(1);
        wanted.push(app.log_in(&format!("user{number}")).await.user_id());
    }
    wanted.reverse();
    let page = app.api.users(&root.access, "").await;
    assert_eq!(ids(&page), wanted);
    assert_eq!(page.data()["cursor"], Value::Null);
    let newest = json!({
        "id": wanted[0], "nickname": null, "avatarUrl": null, "phone": null, "role": "user", "status": "active",
        "createdAt": "2026-11-23T08:00:07.123Z", "updatedAt": "2026-11-23T08:00:07.123Z", "version": 1,
    });
    assert_eq!(page.data()["users"][0], newest);
    for limit in [1, 2, 3, 7, 8, 100] {
        assert_eq!(
            all(&app, &root, &format!("?limit={limit}")).await,
            wanted,
            "{limit}"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_can_be_filtered(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let (mut disabled, mut elsewhere) = (Vec::new(), Vec::new());
    for number in 0..12 {
        app.clock.advance_seconds(1);
        let name = format!("user{number}");
        if number % 3 == 0 {
            let login = app
                .api
                .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, &name))
                .await;
            elsewhere.push(Tokens::of(&login).user_id());
        } else {
            let id = app.log_in(&name).await.user_id();
            if number % 3 == 1 {
                app.disable(&id).await;
                disabled.push(id);
            }
        }
    }
    disabled.reverse();
    elsewhere.reverse();
    for limit in [1, 3, 100] {
        let list = async |filter: &str| all(&app, &root, &format!("?limit={limit}&{filter}")).await;
        assert_eq!(list("status=disabled").await, disabled);
        assert_eq!(list(&format!("appId={OTHER_APP_ID}")).await, elsewhere);
        assert_eq!(list("status=active").await.len(), 9);
        assert_eq!(list(&format!("appId={APP_ID}")).await.len(), 9);
        let both = format!("status=disabled&appId={OTHER_APP_ID}");
        assert_eq!(list(&both).await, Vec::<String>::new());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_shows_numbers_masked_and_one_user_shows_them_whole(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let mut alice = person(&app, "alice");
    alice["phone"] = json!("+86 139-0013-9000");
    let id = app.api.move_in(&root.access, &alice).await.ok(200)["id"].clone();
    let list = app.api.users(&root.access, "").await;
    let users = list.ok(200)["users"].as_array().unwrap();
    let listed = users.iter().find(|user| user["id"] == id).unwrap();
    assert_eq!(listed["phone"], "139****9000");
    let one = app.api.user(&root.access, id.as_str().unwrap()).await;
    assert_eq!(one.ok(200)["phone"], "13900139000");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_found_by_phone_number(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, bob) = root_and_alice(&app).await;
    let log = capture();
    let mut alice = person(&app, "carol");
    alice["phone"] = json!("13712349876");
    let id = app.api.move_in(&root.access, &alice).await.ok(200)["id"].clone();
    for spelling in ["13712349876", "+8613712349876", " 137 1234-9876"] {
        let found = app.api.search_users(&root.access, spelling).await;
        let users = found.ok(200)["users"].as_array().unwrap();
        assert_eq!(users.len(), 1, "{spelling}");
        assert_eq!(
            (&users[0]["id"], &users[0]["phone"]),
            (&id, &json!("137****9876"))
        );
        assert_eq!(found.data()["cursor"], Value::Null);
    }
    let nobody = app.api.search_users(&root.access, "13712349875").await;
    assert_eq!(*nobody.ok(200), json!({"users": [], "cursor": null}));
    for wrong in ["", "1371234987", "12345678901", "alice", "13712349876#"] {
        app.api
            .search_users(&root.access, wrong)
            .await
            .fails_at(&["phone"]);
    }
    app.api
        .search_users(&bob.access, "13712349876")
        .await
        .fails(403, "forbidden");
    // A number in an address would be logged on its way.
    let query = app.api.users(&root.access, "?phone=13712349876").await;
    query.fails_at(&["phone"]);
    log.logs()
        .assert_without_secrets([("a phone number", "13712349876")]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_found_under_older_data_keys(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let mut alice = person(&app, "alice");
    alice["phone"] = json!("13900139000");
    app.api.move_in(&root.access, &alice).await.ok(200);
    let old = app.env().get("DATA_KEYS").unwrap().to_owned();
    let new = "k9:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let api = app
        .another_instance_with(&[("DATA_KEYS", &format!("{new},{old}"))])
        .await;
    let found = api.search_users(&root.access, "13900139000").await;
    assert_eq!(found.ok(200)["users"].as_array().unwrap().len(), 1);
    // And it stays taken.
    let mut bob = person(&app, "bob");
    bob["phone"] = json!("13900139000");
    let taken = api.move_in(&root.access, &bob).await;
    assert_eq!(
        taken.fails(409, "user_exists")["conflicts"][0]["field"],
        "phone"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_parameters_are_named(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    for (query, fields) in [
        ("?limit=0", &["limit"][..]),
        ("?limit=101", &["limit"]),
        ("?limit=ten", &["limit"]),
        ("?limit=", &["limit"]),
        ("?limit=-1&status=gone", &["limit", "status"]),
        ("?status=Active", &["status"]),
        ("?appId=wx9999999999999999", &["appId"]),
        ("?appId=", &["appId"]),
        ("?page=2", &["page"]),
        ("?limit=1&limit=2", &["limit"]),
    ] {
        app.api.users(&root.access, query).await.fails_at(fields);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_or_foreign_cursor_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, boss) = (
        app.administrator("root").await,
        app.administrator("boss").await,
    );
    for number in 0..3 {
        app.clock.advance_seconds(1);
        app.log_in(&format!("user{number}")).await;
    }
    let page = app.api.users(&root.access, "?limit=2").await;
    ids(&page);
    let cursor = page.data()["cursor"].as_str().unwrap().to_owned();
    // With another limit the list goes on.
    let more = app
        .api
        .users(&root.access, &format!("?limit=3&cursor={cursor}"))
        .await;
    assert_eq!(ids(&more).len(), 3);
    for query in [
        "status=active",
        "status=disabled",
        &format!("appId={APP_ID}"),
    ] {
        let foreign = format!("?{query}&cursor={cursor}");
        app.api
            .users(&root.access, &foreign)
            .await
            .fails_at(&["cursor"]);
    }
    // Another administrator's.
    let foreign = format!("?cursor={cursor}");
    app.api
        .users(&boss.access, &foreign)
        .await
        .fails_at(&["cursor"]);
    // Of an instance with other keys.
    let key = "k1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let other = app.another_instance_with(&[("DATA_KEYS", key)]).await;
    other
        .users(&root.access, &foreign)
        .await
        .fails_at(&["cursor"]);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        let forged = format!("?cursor={}", BASE64_URL_SAFE_NO_PAD.encode(forged));
        app.api
            .users(&root.access, &forged)
            .await
            .fails_at(&["cursor"]);
    }
    for forged in [
        "",
        "x",
        "AAAA",
        &cursor[1..],
        &format!("{cursor}A"),
        &"A".repeat(3000),
    ] {
        let forged = format!("?cursor={forged}");
        app.api
            .users(&root.access, &forged)
            .await
            .fails_at(&["cursor"]);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_list_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    app.clock.advance_seconds(1);
    app.log_in("alice").await;
    let row = app.session_row(&root).await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    app.table.import((0..1600).map(|number| {
        let mut row = row.clone();
        row.insert("sk".into(), text(&format!("SESSION#0193{number:06}")));
        row.insert("userAgent".into(), text(&"小".repeat(256)));
        row
    }));
    let page = app.api.users(&root.access, "?limit=1").await;
    let of_users = page.ok(200)["cursor"].as_str().unwrap();
    let page = app.api.export(&root.access, None).await;
    let of_export = page.ok(200)["nextCursor"].as_str().unwrap();
    let users = async |cursor: &str| {
        let query = format!("?cursor={cursor}");
        app.api.users(&root.access, &query).await
    };
    users(of_export).await.fails_at(&["cursor"]);
    let export = app.api.export(&root.access, Some(of_users));
    export.await.fails_at(&["cursor"]);
    // Each is good for its own.
    users(of_users).await.ok(200);
    app.api.export(&root.access, Some(of_export)).await.ok(200);
}

/// The row of a made-up user, who was created `seconds` after the clocks' start.
fn row(number: u64, seconds: i64) -> Item {
    let created: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let created = created + jiff::SignedDuration::from_millis(seconds * 1000 + 120);
    // The digits that decide the partition come from the number, too.
    let id = format!("019f0000-0000-7000-8000-{number:012x}");
    let partition = number % 16;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from(
        [
            ("pk", text(&format!("USER#{id}"))),
            ("sk", text("PROFILE")),
            ("id", text(&id)),
            ("nickname", text(&format!("user {number}"))),
            ("role", text("user")),
            (
                "status",
                text(if number % 500 == 7 {
                    "disabled"
                } else {
                    "active"
                }),
            ),
            ("createdAt", text(&created.to_string())),
            ("updatedAt", text(&created.to_string())),
            ("version", AttributeValue::N("1".to_owned())),
            ("gsi1pk", text(&format!("USERS#{partition}"))),
            ("gsi1sk", text(&format!("{created:.3}#{id}"))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// Numbers that are as good as random, and the same each time (splitmix64).
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The rows of this many users, the oldest first, in partitions as ids are: at random.
fn rows(users: u64) -> Vec<Item> {
    let seconds = |number: u64| i64::try_from(number / 2).unwrap();
    let row = |number| row(scattered(number) & 0xffff_ffff_ffff, seconds(number));
    (0..users).map(row).collect()
}

fn id_of(row: &Item) -> String {
    row["id"].as_s().unwrap().clone()
}

/// The ids in the order of the list.
fn in_order(rows: &[Item]) -> Vec<String> {
    let key = |row: &Item| row["gsi1sk"].as_s().unwrap().clone();
    let mut rows: Vec<_> = rows.iter().map(|row| (key(row), id_of(row))).collect();
    rows.sort_by(|one, other| other.cmp(one));
    rows.into_iter().map(|(_, id)| id).collect()
}

/// Asserts what these pages cost, as docs/state.md says: 16 queries each, and rarely another one.
fn assert_queries(app: &TestApp, pages: usize, usual: f64) {
    let commands = app.proxies().dynamodb.take_traffic().commands;
    let queries = commands
        .iter()
        .filter(|name| name.contains("Query"))
        .count();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let of_a_page = queries as f64 / pages as f64;
    println!("{of_a_page} queries for each of {pages} pages");
    assert!(
        (16.0..usual).contains(&of_a_page),
        "{of_a_page} queries for a page"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_users_are_listed_completely_and_in_order(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).proxied().start().await;
    let root = app.administrator("root").await;
    let rows = rows(10_000);
    app.table.import(rows.clone());
    let mut wanted = in_order(&rows);
    wanted.insert(0, root.user_id());
    app.proxies().dynamodb.take_traffic();
    let listed = all(&app, &root, "?limit=100").await;
    assert!(listed == wanted, "{} of {}", listed.len(), wanted.len());
    assert_queries(&app, listed.len().div_ceil(100), 20.0);
    let (mut listed, mut page) = (Vec::new(), Some("?limit=20".to_owned()));
    for _ in 0..50 {
        let answer = app.api.users(&root.access, &page.unwrap()).await;
        listed.extend(ids(&answer));
        page = next(&answer, "?limit=20");
    }
    assert_eq!(listed, wanted[..1000]);
    assert_queries(&app, 50, 18.0);
    let disabled: Vec<_> = rows
        .iter()
        .filter(|row| row["status"].as_s().unwrap() == "disabled")
        .cloned()
        .collect();
    assert!(disabled.len() > 5, "{}", disabled.len());
    // Few of many: pages are not full, and their work is bounded.
    let (mut listed, mut page) = (Vec::new(), Some("?status=disabled".to_owned()));
    while let Some(query) = page {
        app.proxies().dynamodb.take_traffic();
        let answer = app.api.users(&root.access, &query).await;
        listed.extend(ids(&answer));
        let commands = app.proxies().dynamodb.take_traffic().commands;
        let queries = commands
            .iter()
            .filter(|name| name.contains("Query"))
            .count();
        assert!(queries <= 64, "{queries}");
        page = next(&answer, "?status=disabled");
    }
    assert_eq!(listed, in_order(&disabled));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_come_and_go_meanwhile_neither_repeat_nor_hide_others(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let rows = rows(10_000);
    app.table.import(rows.clone());
    let (leaving, staying): (Vec<Item>, Vec<Item>) = {
        let numbered = rows.iter().cloned().enumerate();
        let (leaving, staying): (Vec<_>, Vec<_>) =
            numbered.partition(|(number, _)| number % 10 == 3);
        let items = |rows: Vec<(usize, Item)>| rows.into_iter().map(|(_, row)| row).collect();
        (items(leaving), items(staying))
    };
    let is_listed = AtomicBool::new(false);
    let listing = async {
        let listed = all(&app, &root, "?limit=100").await;
        is_listed.store(true, Ordering::SeqCst);
        listed
    };
    // Newcomers have times in all of the list, as people do who are moved in with other clocks.
    let changing = async {
        let client = app.table.client();
        let mut changes = 0;
        for (number, row_to_delete) in (0..).zip(leaving.iter().rev()) {
            if is_listed.load(Ordering::SeqCst) {
                break;
            }
            let [pk, sk] = ["pk", "sk"].map(|name| row_to_delete[name].clone());
            let delete = client
                .delete_item()
                .table_name(TABLE)
                .key("pk", pk)
                .key("sk", sk);
            delete.send().await.unwrap();
            let new = row(
                0xf_0000_0000 + number,
                i64::try_from(scattered(number) % 5000).unwrap(),
            );
            let put = client.put_item().table_name(TABLE).set_item(Some(new));
            put.send().await.unwrap();
            changes += 1;
        }
        changes
    };
    let (listed, changes) = futures_util::join!(listing, changing);
    assert!(changes > 50, "only {changes} changes meanwhile");
    let different: BTreeSet<_> = listed.iter().collect();
    assert_eq!(different.len(), listed.len(), "a user is listed twice");
    let stayed: BTreeSet<_> = staying.iter().map(id_of).collect();
    let found: Vec<_> = listed
        .iter()
        .filter(|id| stayed.contains(*id))
        .cloned()
        .collect();
    assert!(
        found == in_order(&staying),
        "{} of {}",
        found.len(),
        staying.len()
    );
}
