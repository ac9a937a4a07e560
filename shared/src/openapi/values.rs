//! The schemas of single values. Their limits are the constants of the parsers; that the patterns take
//! what the parsers take is a test's business (`tests/tests/project/openapi.rs`).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    api::Optional,
    ids::{AppId, DocumentId, OpenId, SessionId, TemplateId, UnionId, UserId},
    messages::{IdempotencyKey, MessageId},
    saga::SagaId,
    users::UploadId,
    values::{AvatarUrl, Edit, ImageType, Nickname, OneTimeCode, Phone},
    webhooks::DeliveryId,
};

/// The schema of a type that is a single value, in place wherever the type is named.
macro_rules! value {
    ($type:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// An id of WeChat's.
fn wechat_id(description: &str, example: &str) -> Schema {
    json_schema!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": AppId::MAX_LENGTH,
        "pattern": "^[0-9A-Za-z_-]+$",
        "examples": [example],
    })
}

/// An id of ours, in its only spelling.
fn uuid(description: &str) -> Schema {
    json_schema!({
        "type": "string",
        "description": description,
        "format": "uuid",
        "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "examples": ["01a20939-2967-7d17-98c2-7448ee036be2"],
    })
}

value!(
    AppId,
    "AppId",
    wechat_id("A mini-program.", "wx0123456789abcdef")
);
value!(
    OpenId,
    "OpenId",
    wechat_id("A WeChat user within one mini-program.", "oAbC0123456789")
);
value!(
    UnionId,
    "UnionId",
    wechat_id(
        "A WeChat user across the mini-programs of one account.",
        "uXyZ0123456789"
    )
);
value!(
    TemplateId,
    "TemplateId",
    wechat_id(
        "A template of subscribe messages.",
        "priTmplId-0123456789abcdefghijklmnopqrstuvw"
    )
);
value!(
    MessageId,
    "MessageId",
    json_schema!({
        "type": "string",
        "description": "A message to a user.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["3c9909afec25354d551dae21590bb26e"],
    })
);
value!(
    IdempotencyKey,
    "IdempotencyKey",
    json_schema!({
        "type": "string",
        "description": "Names a request: a repetition of it is recognised.",
        "minLength": IdempotencyKey::MIN_LENGTH,
        "maxLength": IdempotencyKey::MAX_LENGTH,
        "pattern": "^[0-9A-Za-z_.:-]+$",
        "examples": ["order-20261127-001:paid"],
    })
);
value!(UserId, "UserId", uuid("A user."));
value!(SessionId, "SessionId", uuid("A session."));
value!(
    DocumentId,
    "DocumentId",
    json_schema!({
        "type": "string",
        "description": "A document that users agree to.",
        "maxLength": DocumentId::MAX_LENGTH,
        "pattern": "^[a-z][a-z0-9_-]*$",
        "examples": ["privacy"],
    })
);
value!(
    SagaId,
    "SagaId",
    json_schema!({
        "type": "string",
        "description": "A deletion or a merge.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["8ec7bbdb9e68689d6a0779458142f841"],
    })
);
value!(
    DeliveryId,
    "WebhookDeliveryId",
    json_schema!({
        "type": "string",
        "description": "A delivery of a webhook that was given up.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["5f2b7c1e9a3d4f608b7a6c5d4e3f2a1b"],
    })
);
value!(
    UploadId,
    "UploadKey",
    json_schema!({
        "type": "string",
        "description": "The key of an upload.",
        "pattern": format!("^{}[0-9a-f]{{32}}$", UploadId::KEY_PREFIX),
        "examples": ["uploads/6f0c3d51a2b74e8899aabbccddeeff00"],
    })
);
value!(
    OneTimeCode,
    "OneTimeCode",
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": OneTimeCode::MAX_LENGTH,
        "pattern": "^[!-~]+$",
    })
);
value!(
    Nickname,
    "Nickname",
    json_schema!({
        "type": "string",
        "description": "Trimmed, with at least one visible character, and without control characters; not shorter than NICKNAME_MIN_CHARACTERS (2).",
        "minLength": 1,
        "maxLength": Nickname::MAX_CHARACTERS,
        "examples": ["小明"],
    })
);
value!(
    AvatarUrl,
    "AvatarUrl",
    json_schema!({
        "type": "string",
        "description": "An https URL without credentials; the limit is that of its normalized form.",
        "format": "uri",
        "maxLength": AvatarUrl::MAX_BYTES,
        "examples": ["https://thirdwx.qlogo.cn/mmopen/a.png"],
    })
);
value!(
    Phone,
    "Phone",
    json_schema!({
        "type": "string",
        "description": "11 digits in mainland China; elsewhere `+` with country code and number.",
        "examples": ["13800138000"],
    })
);
value!(
    ImageType,
    "ImageType",
    json_schema!({
        "type": "string",
        "description": "The content type of a picture. Where WeChat checks pictures, it is not `image/webp`.",
        "enum": ImageType::ALL.map(ImageType::content_type),
    })
);

/// Left out, it is nothing: `#[serde(default)]` says that it is not required.
impl<T: JsonSchema> JsonSchema for Optional<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Left out, the value stays; `null` clears it.
impl<T: JsonSchema> JsonSchema for Edit<T> {
    fn inline_schema() -> bool {
        Option::<T>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Option::<T>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}
