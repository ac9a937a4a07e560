//! A request to each endpoint that is served, if its sender may send it.

use e2e::{
    http::{Answer, Request},
    test_app::Tokens,
};
use serde_json::{Value, json};
use shared::{accounts::AccountDeletion, ids::UserId};
use wechat_simulator::DataKind;

use super::{
    people::{Person, World},
    table::{Row, Whose},
};

/// An id of a user or a session, and one of a saga, that nobody has.
const NOBODYS: (&str, &str) = (
    "0193c0de-0000-7000-8000-00000000abcd",
    "00000000000000000000000000000000",
);
/// An existing key of remote configuration.
const KEY: &str = "existing";

/// Sends a request about `other`, and returns the status with the reason, if there is one.
pub async fn send(world: &World, row: &Row, person: &Person, other: &Person) -> String {
    let id = id(row, person, other);
    let path = path(world, row, &id).await;
    let mut request = person.api.request(row.method, &path);
    if let Some(token) = &person.token {
        request = request.bearer(token);
    }
    if let Some(body) = body(world, row, &id, person, other).await {
        request = request.json(&body);
    }
    outcome(request).await
}

async fn outcome(request: Request) -> String {
    let (status, headers, body) = request.send_raw().await;
    if status < 400 {
        return status.to_string();
    }
    let answer = Answer::new(status, headers, &body);
    format!("{status} {}", answer.reason().unwrap())
}

/// The id that the row says.
fn id(row: &Row, person: &Person, other: &Person) -> String {
    match row.whose {
        Whose::NoPart | Whose::Missing => String::new(),
        Whose::Own => id_of(row, Some(person)),
        Whose::Other => id_of(row, Some(other)),
        Whose::Nobodys => id_of(row, None),
        Whose::Malformed => "x".to_owned(),
    }
}

async fn path(world: &World, row: &Row, id: &str) -> String {
    let path = row.path.replace("{id}", id);
    let path = path.replace("{document}", "privacy");
    let path = path.replace("{messageId}", NOBODYS.1);
    if !path.contains("{key}") {
        return path;
    }
    let key = if row.method == "PUT" {
        format!("new.{}", world.next())
    } else {
        ensure_config(world).await;
        KEY.to_owned()
    };
    path.replace("{key}", &key)
}

/// Makes a value of remote configuration, unless there is one.
pub async fn ensure_config(world: &World) {
    if world.api.config(KEY).await.status == 404 {
        let (root, body) = (world.root().await, json!({"value": 1}));
        world.api.put_config(&root, KEY, &body).await.ok(200);
    }
}

/// The id of the person, their session or the deletion of their account; somebody without an account
/// has what nobody has.
fn id_of(row: &Row, person: Option<&Person>) -> String {
    let of = |nobodys: &str, id: fn(&Tokens) -> String| {
        let tokens = person.and_then(|person| person.tokens.as_ref());
        tokens.map_or(nobodys.to_owned(), id)
    };
    if row.path.starts_with("/api/v1/user/sessions/") {
        of(NOBODYS.0, Tokens::session_id)
    } else if row.path.starts_with("/api/v1/users/") {
        of(NOBODYS.0, Tokens::user_id)
    } else if row.path.starts_with("/api/v1/sagas/") {
        of(NOBODYS.1, |tokens| {
            let user: UserId = tokens.user_id().parse().unwrap();
            AccountDeletion::id(user).to_string()
        })
    } else if row.path.starts_with("/api/v1/webhooks/") {
        // Every delivery succeeds here.
        NOBODYS.1.to_owned()
    } else {
        panic!("whose id is in {}?", row.path)
    }
}

/// A body that the endpoint accepts.
async fn body(
    world: &World,
    row: &Row,
    id: &str,
    person: &Person,
    other: &Person,
) -> Option<Value> {
    let (name, app) = (person.name.as_str(), Some(person.app_id));
    let wechat = &world.app.wechat;
    let body = match (row.method, row.path.strip_prefix("/api/v1/")?) {
        ("POST", "user/login") => {
            json!({"code": wechat.mint_code(name, app).unwrap(), "appId": person.app_id})
        }
        ("POST", "user/refresh") => {
            let refresh = person.tokens.as_ref();
            json!({"refreshToken": refresh.map_or("x", |tokens| &tokens.refresh)})
        }
        ("PATCH" | "PUT", "user/info") => json!({"gender": 1}),
        // WeChat encrypts nothing for who has never logged in.
        ("POST", "user/decrypt" | "user/message") if person.tokens.is_none() => json!({}),
        ("POST", "user/decrypt") => {
            json!(
                wechat
                    .encrypted_data(name, DataKind::UserInfo, app)
                    .unwrap()
            )
        }
        ("POST", "user/phone") => json!({"code": wechat.phone_code(name, app).unwrap()}),
        ("POST", "user/phone/resolve") => json!({"ticket": "x".repeat(43), "choice": "merge"}),
        ("POST", "user/avatar") => json!({"contentType": "image/png", "size": 10}),
        ("PUT", "user/avatar") => json!({"key": format!("uploads/{}", "0".repeat(32))}),
        ("POST", "user/message") => json!(wechat.encrypted_message(name, "{}", app).unwrap()),
        ("POST", "wxacode") => json!({"scene": "a"}),
        ("POST", "url-links") => json!({}),
        ("PUT", "user/consents/{document}") => json!({"version": 3}),
        ("PUT", "user/subscriptions") => {
            let request_id = format!("call-{:04}", world.next());
            json!({"requestId": request_id, "results": {"T1": "accept"}})
        }
        ("POST", "messages") => {
            let user = other.tokens.as_ref().map(Tokens::user_id);
            json!({
                "idempotencyKey": format!("order-{:04}", world.next()),
                "userId": user, "appId": other.app_id, "type": "subscribe",
                "templateId": "T1", "data": {"thing1": "x"},
            })
        }
        ("POST", "users") => {
            let open_id = wechat
                .open_id(&format!("new{}", world.next()), app)
                .unwrap();
            json!({"identities": [{"appId": person.app_id, "openId": open_id}]})
        }
        ("POST", "users/search") => json!({"phone": "13800138000"}),
        ("POST", "users/batch-delete") => {
            json!({"ids": [other.tokens.as_ref().map(Tokens::user_id)]})
        }
        ("PUT", "users/{id}") => {
            let user = world.api.user(&world.root().await, id).await;
            let version = user.data().get("version");
            json!({"version": version.map_or(1, |version| version.as_i64().unwrap()), "gender": 1})
        }
        ("PUT", "config/{key}") => json!({"value": 1}),
        _ => return None,
    };
    Some(body)
}
