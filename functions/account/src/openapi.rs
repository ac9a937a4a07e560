//! The routes for clients.

use shared::{
    api::{ActivityList, ActivityQuery, Reason},
    ids::DocumentId,
    openapi::{
        Access, Operation, Tag,
        examples::{activity, consent, user, with},
        json,
    },
};

use crate::{
    consents::{ConsentChange, ConsentList, VersionInput},
    deletion::Deletion,
    export::{Page, PositionInput},
    subscriptions::{ResultsInput, SubscriptionList},
};

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        list(),
        agree(),
        withdraw(),
        subscriptions(),
        record(),
        activities(),
        export(),
        delete(),
    ]
}

fn list() -> Operation {
    let terms = json!({"document": "terms", "version": 2});
    let consents = json!({
        "consents": {"privacy": 3},
        "required": [{"document": "privacy", "version": 3}, terms],
        "consentsMissing": [terms],
        "history": [consent()],
    });
    Operation::new(
        "GET",
        "/api/v1/user/consents",
        "listConsents",
        Tag::Account,
        "What the user agrees to, and has to agree to",
    )
    .access(Access::User)
    .ok::<ConsentList>("The consents.", consents)
}

fn change(method: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let changed = json!({
        "consent": consent(),
        "consents": {"privacy": 3},
        "consentsMissing": [{"document": "terms", "version": 2}],
    });
    Operation::new(
        method,
        "/api/v1/user/consents/{document}",
        id,
        Tag::Account,
        summary,
    )
    .access(Access::User)
    .path_part::<DocumentId>("document", "The document, as `CONSENTS` names it.")
    .ok::<ConsentChange>("The consents after that.", changed)
    .fails(&[Reason::NotFound, Reason::Conflict])
}

fn agree() -> Operation {
    change("PUT", "agree", "Agree to a version of a document")
        .body::<VersionInput>(json!({"version": 3}))
}

fn withdraw() -> Operation {
    change("DELETE", "withdrawConsent", "Withdraw an agreement")
}

fn of_subscriptions(method: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let subscription = json!({
        "templateId": "priTmplId-0123456789",
        "appId": "wx0123456789abcdef",
        "remaining": 1,
    });
    Operation::new(
        method,
        "/api/v1/user/subscriptions",
        id,
        Tag::Messages,
        summary,
    )
    .access(Access::User)
    .ok::<SubscriptionList>("What is left.", json!({"subscriptions": [subscription]}))
}

fn subscriptions() -> Operation {
    let summary = "The subscribe messages that the user agreed to receive";
    of_subscriptions("GET", "listSubscriptions", summary)
}

fn record() -> Operation {
    let summary = "Record what the user chose in `wx.requestSubscribeMessage`";
    let results = json!({
        "requestId": "1e0f6a52-ask-after-order",
        "results": {"priTmplId-0123456789": "accept"},
    });
    of_subscriptions("PUT", "recordSubscriptions", summary)
        .details("Each template that was accepted is one message more, 50 at most. The same `requestId` again adds nothing.")
        .body::<ResultsInput>(results)
        .fails(&[Reason::Conflict])
}

fn activities() -> Operation {
    Operation::new(
        "GET",
        "/api/v1/user/activity",
        "listActivity",
        Tag::Account,
        "What happened to the caller's account",
    )
    .details("The newest first. An entry appears some seconds after what it tells of. The list ends when `cursor` is `null`, and only then.")
    .access(Access::User)
    .query::<ActivityQuery>()
    .ok::<ActivityList>("A page.", json!({"activities": [activity()], "cursor": null}))
}

fn export() -> Operation {
    let page = json!({
        "exportedAt": "2026-11-23T16:24:31.402Z",
        "user": with(user(), json!({"consents": {"privacy": 3}, "lastActiveOn": null})),
        "identities": [],
        "unionLinks": [],
        "avatarUploads": [],
        "avatarChecks": [],
        "phoneNumbers": [{"userId": "01a20939-2967-7d17-98c2-7448ee036be2", "provenOn": "2026-11-26"}],
        "sessions": [],
        "consents": [consent()],
        "activity": [],
        "messages": [],
        "subscriptions": [],
    });
    Operation::new(
        "GET",
        "/api/v1/user/export",
        "exportAccount",
        Tag::Account,
        "Everything that is stored about the caller",
    )
    .details("In pages: one that is followed by another has `nextCursor`.")
    .access(Access::User)
    .query::<PositionInput>()
    .ok::<Page>("A page.", page)
    .with_headers(&["Content-Disposition"])
}

fn delete() -> Operation {
    let deletion = |status| json!({"status": status, "saga": "8ec7bbdb9e68689d6a0779458142f841"});
    Operation::new(
        "DELETE",
        "/api/v1/user",
        "deleteAccount",
        Tag::Account,
        "Delete the caller's account",
    )
    .details("From the first step on, no token of it is accepted for anything else. The same request can be sent again with the same token, and says how far the deletion has come.")
    .access(Access::User)
    .ok::<Deletion>("Nothing about the user is stored.", deletion("deleted"))
    .accepted::<Deletion>(
        "`deleting`: goes on without the client. `barred`: the account is deleted at the time in `until`, and can be called back before.",
        deletion("deleting"),
    )
    .fails(&[Reason::NotFound, Reason::Conflict])
}
