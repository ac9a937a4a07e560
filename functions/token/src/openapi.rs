//! The routes for clients.

use shared::{
    api::{Empty, Reason},
    auth::TokenPair,
    ids::SessionId,
    openapi::{
        Access, JsonSchema, Operation, Schema, SchemaGenerator, Tag, examples::tokens, json,
        json_schema,
    },
};

use crate::{
    crypto_key::OfferedKey,
    refresh::RefreshInput,
    sessions::{LogoutInput, SessionList},
};

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![refresh(), logout(), list(), end(), key_set(), crypto_key()]
}

fn refresh() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/refresh",
        "refresh",
        Tag::Sessions,
        "Get new tokens",
    )
    .details("The refresh token is used up; for `REFRESH_GRACE_SECONDS` it gets the same successor again, so concurrent refreshes and lost answers are harmless. An older one revokes the session.")
    .body::<RefreshInput>(json!({"refreshToken": "rt1.AaIJOSlnfReYwnRI7gNr4g…"}))
    .ok::<TokenPair>("The new tokens.", tokens())
    .fails(&[
        Reason::RefreshInvalid,
        Reason::RefreshReused,
        Reason::SessionRevoked,
        Reason::UserDisabled,
        Reason::Conflict,
        Reason::RateLimited,
    ])
}

fn logout() -> Operation {
    Operation::new(
        "POST",
        "/api/v1/user/logout",
        "logout",
        Tag::Sessions,
        "End this session, or all of the user",
    )
    .access(Access::Session)
    .body::<LogoutInput>(json!({"all": true}))
    .ok::<Empty>("Ended.", json!({}))
    .fails(&[Reason::Conflict])
}

fn list() -> Operation {
    let session = json!({
        "id": "01a20939-296c-7dce-9b6a-1ab4f3084d8f",
        "appId": "wx0123456789abcdef",
        "userAgent": "curl/7.88.1",
        "createdAt": "2026-11-23T16:24:30.828Z",
        "refreshedAt": "2026-11-23T16:24:30.92Z",
        "current": true,
    });
    Operation::new(
        "GET",
        "/api/v1/user/sessions",
        "listSessions",
        Tag::Sessions,
        "The user's active sessions",
    )
    .access(Access::Session)
    .ok::<SessionList>("The newest first.", json!({"sessions": [session]}))
}

fn end() -> Operation {
    Operation::new(
        "DELETE",
        "/api/v1/user/sessions/{id}",
        "endSession",
        Tag::Sessions,
        "End one of the user's sessions",
    )
    .access(Access::Session)
    .path_part::<SessionId>("id", "The session's id.")
    .ok::<Empty>("Ended, maybe before.", json!({}))
    .fails(&[Reason::NotFound, Reason::Conflict])
}

/// A key set (RFC 7517 §5).
struct KeySet;

impl JsonSchema for KeySet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeySet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let text = json!({"type": "string"});
        json_schema!({
            "type": "object",
            "description": "The public keys of access tokens (RFC 7517).",
            "required": ["keys"],
            "properties": {"keys": {"type": "array", "items": {
                "type": "object",
                "required": ["kty", "kid", "use", "alg"],
                "properties": {
                    "kty": {"type": "string", "enum": ["OKP", "EC", "RSA"]},
                    "kid": text,
                    "use": {"type": "string", "const": "sig"},
                    "alg": {"type": "string", "enum": ["EdDSA", "ES256", "RS256"]},
                    "crv": text, "x": text, "y": text, "n": text, "e": text,
                },
            }}},
        })
    }
}

fn key_set() -> Operation {
    let key = json!({
        "use": "sig",
        "alg": "EdDSA",
        "kid": "GXXw7stqysf_LovvTCdMouA9TBmzzTnU8y71fQq10V8",
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "gbKKMmnTrF66FA0UxvduOXyY12HCRMnzIgnEsBBoRqc",
    });
    Operation::new(
        "GET",
        "/.well-known/jwks.json",
        "getKeySet",
        Tag::Keys,
        "The public keys of access tokens",
    )
    .details("For other services that verify access tokens. A plain key set, without the envelope.")
    .plain::<KeySet>(
        "application/jwk-set+json",
        "The keys; none where only `JWT_SECRETS` is set.",
        json!({"keys": [key]}),
    )
}

fn crypto_key() -> Operation {
    let key = json!({
        "kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": "t1", "n": "xm…dw", "e": "AQAB",
        "enc": ["A256CBC-HS512", "A256GCM"],
    });
    Operation::new(
        "GET",
        "/api/v1/crypto/key",
        "getTransportKey",
        Tag::Keys,
        "The public key for sealed bodies",
    )
    .details(
        "A JWK, and the values of `enc` that are accepted. 404 where `TRANSPORT_KEYS` is not set.",
    )
    .ok::<OfferedKey>("The key.", key)
    .fails(&[Reason::NotFound])
}
