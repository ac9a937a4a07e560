//! The routes for administrators' clients.

use shared::{
    api::{ActivityList, ActivityQuery, Empty, Reason},
    ids::UserId,
    messages::{MessageId, RawMessageRequest},
    openapi::{
        Access, Operation, Tag, Value,
        examples::{activity, user, with},
        json,
    },
    saga::SagaId,
    users::User,
    webhooks::DeliveryId,
};

use crate::{
    account::Detail,
    change::ChangeInput,
    deletion::{BatchAnswer, BatchInput, Deletion},
    list::ListQuery,
    messages::{ListedMessage, MessageList, MessagesQuery, Ordered},
    move_in::{Conflicts, UserInput},
    sagas::{Resumed, SagaList},
    search::SearchInput,
    summary::UserList,
    webhooks::{FailureList, FailuresQuery, Redelivered},
};

const USERS: &str = "/api/v1/users";
const USER: &str = "/api/v1/users/{id}";
const MESSAGE: &str = "3c9909afec25354d551dae21590bb26e";
const SAGA: &str = "8ec7bbdb9e68689d6a0779458142f841";

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        list(),
        search(),
        move_in(),
        read(),
        change(),
        activities(),
        end_sessions(),
        delete(),
        delete_batch(),
        sagas(),
        resume(),
        failures(),
        redeliver(),
        send_message(),
        messages(),
        message(),
    ]
}

fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation::new(method, path, id, Tag::Users, summary).access(Access::Administrator)
}

/// About the user whose id the path has.
fn about(operation: Operation) -> Operation {
    operation
        .path_part::<UserId>("id", "The user's id.")
        .fails(&[Reason::NotFound])
}

fn page() -> Value {
    let mut summary = with(user(), json!({"phone": "138****8000"}));
    summary.as_object_mut().map(|it| it.remove("gender"));
    json!({"users": [summary], "cursor": null})
}

fn list() -> Operation {
    operation("GET", USERS, "listUsers", "The users, newest first")
        .details("The list ends when `cursor` is `null`, and only then: with filters a page can be short, or empty.")
        .query::<ListQuery>()
        .ok::<UserList>("A page.", page())
}

fn search() -> Operation {
    operation(
        "POST",
        "/api/v1/users/search",
        "searchUsers",
        "The user with a phone number",
    )
    .body::<SearchInput>(json!({"phone": "13800138000"}))
    .ok::<UserList>("One user or none.", page())
}

fn move_in() -> Operation {
    let person = json!({
        "nickname": "小明",
        "avatarUrl": "https://example.com/a.png",
        "gender": 1,
        "phone": "13800138000",
        "identities": [{"appId": "wx0123456789abcdef", "openId": "oAbC", "unionId": "uXyZ"}],
    });
    operation(
        "POST",
        USERS,
        "moveUserIn",
        "Move a person in from another backend",
    )
    .details("All or nothing. A request that is sent again is answered with the user that the first one made, as a conflict.")
    .body::<UserInput>(person)
    .ok::<User>("The new user.", user())
    .with_headers(&["ETag"])
    .explains::<Conflicts>(Reason::UserExists)
    .fails(&[Reason::Conflict])
}

fn read() -> Operation {
    let around =
        json!({"identities": [{"appId": "wx0123456789abcdef"}], "sessions": 1, "sagas": []});
    about(operation("GET", USER, "getUser", "One user"))
        .ok::<Detail>("The user.", with(user(), around))
        .with_headers(&["ETag"])
}

fn change() -> Operation {
    about(operation("PUT", USER, "changeUser", "Change a user"))
        .details("Fields that are left out stay; `null` clears nickname, avatar and gender. The change says which version it was made for: in `If-Match`, in `version`, or in both. `disabled` also ends all sessions of the user.")
        .header::<String>("If-Match", "The version that the change was made for, between quotes.")
        .body::<ChangeInput>(json!({"status": "disabled", "version": 2}))
        .ok::<User>("The user after the change.", with(user(), json!({"status": "disabled", "version": 3})))
        .with_headers(&["ETag"])
        .fails(&[
            Reason::OwnRights,
            Reason::Conflict,
            Reason::AccountDeletionPending,
            Reason::VersionMismatch,
        ])
}

fn activities() -> Operation {
    let path = "/api/v1/users/{id}/activity";
    let summary = "What happened to an account";
    let page = json!({"activities": [activity()], "cursor": null});
    about(operation("GET", path, "listUserActivity", summary))
        .details("The newest first, as its user sees it, and which administrator did what.")
        .query::<ActivityQuery>()
        .ok::<ActivityList>("A page.", page)
}

fn end_sessions() -> Operation {
    let path = "/api/v1/users/{id}/sessions";
    about(operation(
        "DELETE",
        path,
        "endUserSessions",
        "End all sessions of a user",
    ))
    .ok::<Empty>("Ended.", json!({}))
    .fails(&[Reason::Conflict])
}

fn delete() -> Operation {
    let deletion = |status| json!({"status": status, "saga": SAGA});
    about(operation("DELETE", USER, "deleteUser", "Delete an account"))
        .details("At once, whatever `DELETION_COOLING_DAYS` says.")
        .ok::<Deletion>("Nothing about the user is stored.", deletion("deleted"))
        .accepted::<Deletion>("The deletion goes on.", deletion("deleting"))
        .fails(&[Reason::OwnRights, Reason::Conflict])
}

fn delete_batch() -> Operation {
    let id = "01a20939-2967-7d17-98c2-7448ee036be2";
    let outcomes = json!({"outcomes": [
        {"id": "0193c0de-0000-7000-8000-00000000abcd", "reason": "not_found"},
        {"id": id, "status": "deleted", "saga": SAGA},
    ]});
    operation(
        "POST",
        "/api/v1/users/batch-delete",
        "deleteUsers",
        "Delete accounts",
    )
    .body::<BatchInput>(json!({"ids": [id]}))
    .ok::<BatchAnswer>("What became of each.", outcomes)
}

fn sagas() -> Operation {
    let saga = json!({
        "id": SAGA,
        "kind": "account-deletion",
        "step": "cooling",
        "createdAt": "2026-11-23T16:24:30.823Z",
        "updatedAt": "2026-11-23T16:24:30.851Z",
        "until": "2026-11-30T16:24:31Z",
        "failed": false,
    });
    Operation::new(
        "GET",
        "/api/v1/sagas",
        "listSagas",
        Tag::Sagas,
        "Deletions and merges that have not ended",
    )
    .access(Access::Administrator)
    .ok::<SagaList>("The oldest 100.", json!({"sagas": [saga]}))
}

fn resume() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/sagas/{id}/resume",
        "resumeSaga",
        Tag::Sagas,
        "Continue a deletion or merge where it stands",
    )
    .access(Access::Administrator)
    .path_part::<SagaId>("id", "The id of the deletion or merge.")
    .ok::<Resumed>("It has ended.", json!({"status": "done"}))
    .accepted::<Resumed>(
        "It has not: another process has it, the time was up, or it waits.",
        json!({"status": "waiting", "until": "2026-11-30T16:24:31Z"}),
    )
    .fails(&[Reason::NotFound, Reason::Conflict])
}

fn failures() -> Operation {
    let failure = json!({
        "id": "5f2b7c1e9a3d4f608b7a6c5d4e3f2a1b",
        "receiver": "crm",
        "eventId": "evt_3c1f5a7b9d2e4f608a1b2c3d4e5f6071",
        "eventType": "user.created",
        "reason": "status 500",
        "failedAt": "2026-11-26T16:24:30.823Z",
    });
    Operation::new(
        "GET",
        "/api/v1/webhooks/failures",
        "listWebhookFailures",
        Tag::Webhooks,
        "Events that a receiver did not get",
    )
    .access(Access::Administrator)
    .details("The newest first. The list ends when `cursor` is `null`, and only then: with `receiver` a page can be short, or empty.")
    .query::<FailuresQuery>()
    .ok::<FailureList>("A page.", json!({"failures": [failure], "cursor": null}))
}

fn redeliver() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/webhooks/failures/{id}/redeliver",
        "redeliverWebhook",
        Tag::Webhooks,
        "Deliver an event that a receiver did not get",
    )
    .access(Access::Administrator)
    .path_part::<DeliveryId>("id", "The id of the failed delivery.")
    .accepted::<Redelivered>("It is in the queue again.", json!({"status": "queued"}))
    .fails(&[Reason::NotFound, Reason::NotConfigured])
}

fn sent() -> Value {
    json!({
        "messageId": MESSAGE,
        "type": "subscribe",
        "appId": "wx0123456789abcdef",
        "templateId": "priTmplId-0123456789",
        "status": "sent",
        "reason": null,
        "errcode": null,
        "attempts": 1,
        "createdAt": "2026-11-27T08:24:30.823Z",
        "updatedAt": "2026-11-27T08:24:31.204Z",
        "dueAt": null,
    })
}

fn send_message() -> Operation {
    let user = "01a20939-2967-7d17-98c2-7448ee036be2";
    let order = json!({
        "idempotencyKey": "order-20261127-001:paid",
        "userId": user,
        "type": "subscribe",
        "templateId": "priTmplId-0123456789",
        "page": "pages/order/order?id=1",
        "data": {"thing1": "咖啡豆", "amount2": "68元"},
    });
    let ordered = json!({"userId": user, "messageId": MESSAGE, "status": "queued"});
    Operation::new(
        "POST",
        "/api/v1/messages",
        "sendMessage",
        Tag::Messages,
        "Send a message to a user",
    )
    .access(Access::Administrator)
    .details("A subscribe message uses up one that the user agreed to; a reply of customer service needs a message of the user's in the last 48 hours. It is sent in the background, and never twice: the same request again is answered with how far it is.")
    .body::<RawMessageRequest>(order)
    .accepted::<Ordered>("It will be sent, or was: `status` says how far it is.", ordered)
    .fails(&[
        Reason::NotFound,
        Reason::Conflict,
        Reason::IdempotencyKeyReused,
        Reason::UserUnreachable,
        Reason::NotConfigured,
    ])
}

fn messages() -> Operation {
    let path = "/api/v1/users/{id}/messages";
    let summary = "Messages to a user";
    let page = json!({"messages": [sent()], "cursor": null});
    about(operation("GET", path, "listUserMessages", summary))
        .details("The newest first, without what they say. They are kept for `MESSAGE_DAYS`.")
        .query::<MessagesQuery>()
        .ok::<MessageList>("A page.", page)
}

fn message() -> Operation {
    let path = "/api/v1/users/{id}/messages/{messageId}";
    let summary = "One message to a user";
    about(operation("GET", path, "getUserMessage", summary))
        .path_part::<MessageId>("messageId", "The message's id.")
        .ok::<ListedMessage>("The message.", sent())
}
