//! An export has everything that is stored about its caller, and nothing of anybody else.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::{Item, TABLE},
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared::{
    config::DataKeySettings,
    crypto::AtRest,
    users::rows::{ROW_KINDS, RowKind, Shown},
};

use super::{CONSENTS, start, with_everything};

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Every text in a value.
fn texts(value: &AttributeValue) -> Vec<String> {
    match value {
        AttributeValue::S(text) => vec![text.clone()],
        AttributeValue::Ss(texts) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Sets attributes of a row past the backend.
async fn set(app: &TestApp, key: &(String, String), attributes: &[(&str, AttributeValue)]) {
    for (name, value) in attributes {
        let update = app.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", text(&key.0))
            .key("sk", text(&key.1))
            .update_expression("SET #name = :value")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#name", *name)
            .expression_attribute_values(":value", value.clone());
        update.send().await.unwrap();
    }
}

/// The user's row.
async fn profile(app: &TestApp, tokens: &Tokens) -> Item {
    let pk = format!("USER#{}", tokens.user_id());
    app.table.item(&pk, "PROFILE").await.unwrap()
}

/// What an attribute of a row was encrypted from.
fn decrypted(app: &TestApp, row: &Item, name: &str) -> String {
    let at_rest = AtRest::new(&DataKeySettings::read(&app.env()).keys);
    let (sealed, pk) = (row[name].as_s().unwrap(), row["pk"].as_s().unwrap());
    let opened = at_rest.open(sealed, pk).unwrap();
    opened.expose_secret().to_owned()
}

/// All pages of an export.
async fn pages(app: &TestApp, tokens: &Tokens) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = app.api.export(&tokens.access, cursor.as_deref()).await;
        let page = page.ok(200).clone();
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        pages.push(page);
        if cursor.is_none() {
            return pages;
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_everything(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = with_everything(&app, "alice").await;
    app.clock.advance_seconds(5);
    let answer = app.api.export(&tokens.access, None).await;
    let disposition = "attachment; filename=\"export.json\"";
    assert_eq!(answer.header("content-disposition"), Some(disposition));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let export = answer.ok(200);
    let now = "2026-11-23T08:00:00.123Z";
    let union_id = app.identity_row(APP_ID, "alice").await["unionId"].clone();
    let union_id = union_id.as_s().unwrap();
    let user = json!({
        "id": tokens.user_id(), "nickname": "昵称 alice", "avatarUrl": null, "gender": 2,
        "phone": app.api.info(&tokens.access).await.ok(200)["phone"], "role": "user", "status": "active",
        "createdAt": now, "updatedAt": now, "version": 3, "consents": {"privacy": 3},
        "lastActiveOn": null,
    });
    assert_eq!(export["user"], user);
    let identity = |app_id: &str, count: u32| {
        json!({
            "appId": app_id, "openId": app.wechat.open_id("alice", Some(app_id)).unwrap(), "unionId": union_id,
            "unionLinked": true, "createdAt": now, "lastLoginAt": now, "loginCount": count,
        })
    };
    let identities = json!([identity(APP_ID, 2), identity(OTHER_APP_ID, 1)]);
    assert_eq!(export["identities"], identities);
    let link = json!([{"unionId": union_id, "userId": tokens.user_id()}]);
    assert_eq!(export["unionLinks"], link);
    let number = json!([{"userId": tokens.user_id(), "provenOn": "2026-11-23"}]);
    assert_eq!(export["phoneNumbers"], number);
    let sessions = export["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    let current = sessions.iter().find(|one| one["id"] == tokens.session_id());
    let wanted = json!({
        "id": tokens.session_id(), "appId": APP_ID, "openId": app.wechat.open_id("alice", Some(APP_ID)).unwrap(),
        "userAgent": null, "createdAt": now, "refreshedAt": now, "refreshes": 0, "revokedAt": null,
        "endedBy": null,
        "expiresAt": "2026-12-23T08:00:00Z",
    });
    assert_eq!(current, Some(&wanted));
    let ended = sessions.iter().filter(|one| !one["revokedAt"].is_null());
    assert_eq!(ended.count(), 1);
    let consent = |document: &str, version: u32, app_id: &str| {
        json!({
            "document": document, "version": version, "agreedAt": now, "appId": app_id, "withdrawnAt": null,
            "withdrawnAppId": null,
        })
    };
    let mut terms = consent("terms", 2, OTHER_APP_ID);
    terms["withdrawnAt"] = now.into();
    terms["withdrawnAppId"] = APP_ID.into();
    assert_eq!(
        export["consents"],
        json!([consent("privacy", 3, APP_ID), terms])
    );
    let uploads = export["avatarUploads"].as_array().unwrap();
    let id = uploads[0]["id"].as_str().unwrap();
    let upload = json!({
        "id": id, "appId": APP_ID, "contentType": "image/png", "maxBytes": 10, "phase": "publishing",
        "createdAt": now, "askedAt": "2026-11-23T07:30:00Z", "expiresAt": "2026-11-24T08:05:00Z",
    });
    assert_eq!(*uploads, [upload]);
    let check = json!([{
        "appId": APP_ID, "traceId": format!("trace-{id}"), "userId": tokens.user_id(), "uploadId": id,
        "expiresAt": "2100-01-01T00:00:00Z",
    }]);
    assert_eq!(export["avatarChecks"], check);
    let activity = json!([{
        "event": "role_changed", "at": "2026-11-23T07:59:00Z", "session": null, "appId": null,
        "userAgent": null, "from": "admin", "to": "user", "document": null, "version": null, "saga": null,
        "expiresAt": "2100-01-01T00:00:00Z",
    }]);
    assert_eq!(export["activity"], activity);
    let content = r#"{"type":"subscribe","templateId":"T1","data":{"thing1":"x"},"miniprogramState":"formal","lang":"zh_CN"}"#;
    let message = json!([{
        "id": export["messages"][0]["id"], "type": "subscribe", "appId": APP_ID, "templateId": "T1",
        "content": content, "status": "sending", "reason": null, "errcode": null, "attempts": 1,
        "createdAt": now, "updatedAt": now, "dueAt": "2026-11-23T08:02:00.123Z",
        "expiresAt": "2026-12-23T08:00:00Z",
    }]);
    assert_eq!(export["messages"], message);
    let grant = json!([{
        "appId": APP_ID, "templateId": "T1", "requestId": "call-0001",
        "openId": app.wechat.open_id("alice", Some(APP_ID)).unwrap(), "grantedAt": now, "usedAt": now,
        "expiresAt": "2026-11-30T08:00:00Z",
    }]);
    assert_eq!(export["subscriptions"], grant);
    assert_eq!(export["exportedAt"], "2026-11-23T08:00:05.123Z");
    assert_eq!(export.get("nextCursor"), None);
    // No other member.
    let sections = ROW_KINDS.iter().filter(|kind| kind.export.has_rows());
    let sections = sections.map(|kind| kind.export.section);
    let wanted: BTreeSet<_> = sections.chain(["exportedAt"]).collect();
    let members = export.as_object().unwrap().keys().map(String::as_str);
    assert_eq!(members.collect::<BTreeSet<_>>(), wanted);
}

/// A kind of row, or an attribute, that is added has to say here whether it is exported.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_row_and_each_of_its_attributes_is_exported_or_withheld_on_purpose(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    with_everything(&app, "alice").await;
    let mut seen = BTreeMap::<&str, BTreeSet<String>>::new();
    for ((pk, sk), row) in app.rows().await {
        let kind = RowKind::of(&pk, &sk);
        let kind = kind.unwrap_or_else(|| panic!("{pk} {sk}: of no kind in ROW_KINDS"));
        let export = &kind.export;
        let shown = export.shown.iter().map(Shown::attribute);
        let decided: BTreeSet<_> = shown
            .chain(export.withheld.iter().copied())
            .chain(["pk", "sk"])
            .collect();
        for name in row.keys() {
            assert!(decided.contains(name.as_str()), "{pk} {sk}: {name}");
        }
        seen.entry(export.section)
            .or_default()
            .extend(row.into_keys());
    }
    let sections: BTreeSet<_> = ROW_KINDS.iter().map(|kind| kind.export.section).collect();
    assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), sections);
    // No list names what no row has, except what this scenario does not set.
    for kind in ROW_KINDS {
        for name in kind.export.withheld {
            let names = &seen[kind.export.section];
            assert!(names.contains(*name), "{kind:?}: {name}");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_exported(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = with_everything(&app, "alice").await;
    let mut secrets = vec![tokens.refresh.clone(), tokens.access.clone()];
    let identity = app.identity_row(APP_ID, "alice").await;
    for name in ["sessionKey", "prevSessionKey"] {
        secrets.push(decrypted(&app, &identity, name));
    }
    for (key, row) in app.rows().await {
        let secret = format!("SECRET-{}", secrets.len());
        set(&app, &key, &[("someLaterAttribute", text(&secret))]).await;
        secrets.push(secret);
        let kind = RowKind::of(&key.0, &key.1).unwrap();
        for name in kind.export.withheld {
            // The id of the user is no secret.
            let ids = ["uid", "user"];
            if let Some(value) = row.get(*name).filter(|_| !ids.contains(name)) {
                secrets.extend(texts(value));
            }
        }
        if let Some(hash) = key.0.strip_prefix("PHONE#") {
            secrets.push(hash.to_owned());
        }
    }
    let export = json!(pages(&app, &tokens).await).to_string();
    assert!(export.contains(&tokens.user_id()), "{export}");
    assert!(secrets.len() > 20, "{} secrets", secrets.len());
    for secret in &secrets {
        assert!(!export.contains(secret), "{secret} is in {export}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_data_is_never_exported(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let alice = with_everything(&app, "alice").await;
    let bob = with_everything(&app, "bob").await;
    // Alice's rows lead to Bob's: what an interrupted or wrong change might leave.
    let (alices, bobs) = (profile(&app, &alice).await, profile(&app, &bob).await);
    let identities: Vec<_> = [&alices, &bobs]
        .into_iter()
        .flat_map(|row| texts(&row["identities"]))
        .collect();
    let key = |row: &Item| {
        let part = |name: &str| row[name].as_s().unwrap().clone();
        (part("pk"), part("sk"))
    };
    let foreign = [
        ("identities", AttributeValue::Ss(identities)),
        ("phoneClaim", bobs["phoneClaim"].clone()),
    ];
    set(&app, &key(&alices), &foreign).await;
    let bobs_union = app.identity_row(APP_ID, "bob").await["unionId"].clone();
    let identity = app.identity_row(OTHER_APP_ID, "alice").await;
    set(&app, &key(&identity), &[("unionId", bobs_union.clone())]).await;
    let pages = pages(&app, &alice).await;
    let [export] = &pages[..] else {
        panic!("one page");
    };
    assert_eq!(export["identities"].as_array().map(Vec::len), Some(2));
    assert_eq!(export["phoneNumbers"], json!([]));
    assert_eq!(export["unionLinks"].as_array().map(Vec::len), Some(1));
    let phone = app.api.info(&bob.access).await.ok(200)["phone"].clone();
    let text = export.to_string();
    for foreign in [
        bob.user_id(),
        bob.session_id(),
        "昵称 bob".to_owned(),
        phone.as_str().unwrap().to_owned(),
        app.wechat.open_id("bob", Some(APP_ID)).unwrap(),
        app.wechat.open_id("bob", Some(OTHER_APP_ID)).unwrap(),
    ] {
        assert!(!text.contains(&foreign), "{foreign} is in {text}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_an_unknown_kind_is_left_out(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let pk = format!("USER#{}", tokens.user_id());
    app.table.import([Item::from([
        ("pk".to_owned(), text(&pk)),
        ("sk".to_owned(), text("LATER#1")),
        ("what".to_owned(), text("of a later version")),
    ])]);
    let export = app.api.export(&tokens.access, None).await;
    assert_eq!(export.ok(200)["user"]["id"], tokens.user_id());
    assert!(!export.body.to_string().contains("of a later version"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sessions_are_exported_in_pages(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = with_everything(&app, "alice").await;
    let row = app.session_row(&tokens).await;
    let ids = (0..2000).map(|number| format!("0193c0de-0000-7000-8000-{number:012}"));
    app.table.import(ids.clone().map(|id| {
        let mut row = row.clone();
        row.insert("sk".into(), text(format!("SESSION#{id}")));
        row.insert("id".into(), text(id));
        row.insert("userAgent".into(), text("小".repeat(256)));
        row
    }));
    let pages = pages(&app, &tokens).await;
    assert_eq!(pages.len(), 3);
    let mut found = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        let length = page.to_string().len();
        assert!(length < 1024 * 1024 + 64 * 1024, "{length}");
        let is_first = number == 0;
        assert_eq!(page["user"].is_object(), is_first);
        assert_eq!(page["identities"] != json!([]), is_first);
        let sessions = page["sessions"].as_array().unwrap();
        found.extend(sessions.iter().map(|one| one["id"].as_str().unwrap()));
    }
    let different: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!((found.len(), different.len()), (2003, 2003));
    assert!(ids.into_iter().all(|id| different.contains(id.as_str())));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_forged_or_somebody_elses_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for tokens in [&alice, &bob] {
        let row = app.session_row(tokens).await;
        app.table.import((0..1600).map(|number| {
            let mut row = row.clone();
            row.insert("sk".into(), text(format!("SESSION#0193{number:06}")));
            row.insert("userAgent".into(), text("小".repeat(256)));
            row
        }));
    }
    let first = app.api.export(&alice.access, None).await;
    let cursor = first.ok(200)["nextCursor"].as_str().unwrap();
    app.api.export(&alice.access, Some(cursor)).await.ok(200);
    app.api
        .export(&bob.access, Some(cursor))
        .await
        .fails_at(&["cursor"]);
    let (head, tail) = cursor.split_at(cursor.len() - 10);
    let changed = tail.replace(|c: char| c.is_ascii_alphanumeric(), "x");
    let unsigned = "U0VTU0lPTiMw";
    for forged in [&format!("{head}{changed}"), head, tail, "", unsigned, "%00"] {
        let answer = app.api.export(&alice.access, Some(forged)).await;
        answer.fails_at(&["cursor"]);
    }
    for query in ["Cursor=x", "limit=1", "cursor=a&cursor=b"] {
        let request = app
            .api
            .request("GET", &format!("/api/v1/user/export?{query}"));
        let answer = request.bearer(&alice.access).send().await;
        answer.fails(400, "invalid_request");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_have_a_limit_of_their_own(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state)
        .set("CONSENTS", CONSENTS)
        .set("RATE_LIMIT_EXPORT", "2/h burst 2");
    let app = app.start().await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for left in [1, 0] {
        let answer = app.api.export(&alice.access, None).await;
        answer.ok(200);
        let limit = answer.header("ratelimit").unwrap();
        assert!(
            limit.starts_with(&format!("\"export\";r={left}")),
            "{limit}"
        );
    }
    let refused = app.api.export(&alice.access, None).await;
    refused.fails(429, "rate_limited");
    // Half an hour, less what has passed of Redis' own time meanwhile.
    let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&after), "{after}");
    // Everything else, and everybody else, goes on.
    app.api.info(&alice.access).await.ok(200);
    app.api.export(&bob.access, None).await.ok(200);
}
