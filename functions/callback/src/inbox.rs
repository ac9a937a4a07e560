//! Verifies and opens the messages that WeChat pushes, and seals replies.

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;
use shared::{
    api::{ApiError, Reason},
    clock::Clock,
    ids::AppId,
    instance::Instance,
    random::Random,
};
use thiserror::Error;

use crate::{
    Reply,
    cipher::{PushSecrets, Stamp},
    push::{Fields, Format, Push},
    response,
    settings::MessagePushSettings,
};

/// The query parameters of WeChat's requests.
#[derive(Deserialize)]
pub struct PushQuery {
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    nonce: String,
    /// Covers the timestamp, the nonce and the token: the only protection of a plain message.
    #[serde(default)]
    pub signature: String,
    /// Covers the ciphertext, too.
    #[serde(default)]
    msg_signature: String,
}

impl PushQuery {
    fn stamp(&self) -> Stamp<'_> {
        Stamp {
            timestamp: &self.timestamp,
            nonce: &self.nonce,
        }
    }
}

/// Why a request is rejected as not from WeChat. For the log only.
#[derive(Debug, Error)]
pub enum PushRejection {
    #[error("MESSAGE_PUSH names no mini-program")]
    NotConfigured,
    #[error("the timestamp is invalid, or too far from now")]
    Stale,
    #[error(
        "signature or ciphertext is wrong for every mini-program of MESSAGE_PUSH (a key there requires the secure mode)"
    )]
    Unsigned,
    #[error("the signature was used before, with another message")]
    SignatureUsed,
}

impl From<PushRejection> for ApiError {
    /// The same reason for all, so that an attacker learns nothing about the cause.
    fn from(rejection: PushRejection) -> Self {
        Self::new(Reason::DecryptFailed).because(&rejection)
    }
}

/// A message from WeChat.
pub struct Received {
    pub push: Push,
    /// Whether it was encrypted, so that its reply must be, too.
    pub encrypted: bool,
    /// The format of the outer message, around its encryption.
    format: Format,
    /// The index of its mini-program in `Inbox::apps`.
    app: usize,
}

/// The mini-programs with the secrets that each shares with WeChat.
pub struct Inbox {
    apps: Vec<(AppId, PushSecrets)>,
    max_age: Duration,
    clock: Clock,
}

impl Inbox {
    pub fn new(instance: &Instance) -> Self {
        let settings = MessagePushSettings::read(instance.env());
        let apps = settings
            .apps
            .into_iter()
            .map(|app| (app.app_id, PushSecrets::new(app.token, app.key)))
            .collect();
        Self {
            apps,
            max_age: settings.max_age,
            clock: instance.clock(),
        }
    }

    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// Checks that a request is signed for one of the mini-programs.
    pub fn verify(&self, query: &PushQuery) -> Result<(), PushRejection> {
        self.check_age(&query.timestamp)?;
        self.find(|_, secrets| {
            secrets
                .verify_signature(query.stamp(), &query.signature)
                .then_some(())
        })
        .map(drop)
    }

    /// The message of a request.
    ///
    /// A mini-program with a key accepts encrypted messages only. A plain message's signature does
    /// not cover the body, so accepting plain messages, too, would allow forged ones.
    pub fn open(&self, query: &PushQuery, body: &[u8]) -> Result<Received, ApiError> {
        self.check_age(&query.timestamp)?;
        let body = str::from_utf8(body).unwrap_or_default();
        let outer = Format::read(body).ok();
        let encrypt = outer
            .as_ref()
            .and_then(|(_, fields)| fields.get("Encrypt")?.as_str());
        let (app, message) = self.find(|app_id, secrets| {
            if !secrets.encrypts() {
                return secrets
                    .verify_signature(query.stamp(), &query.signature)
                    .then_some(None);
            }
            let opened = secrets
                .open(query.stamp(), &query.msg_signature, encrypt?)
                .ok()?;
            (opened.receiver == app_id.as_str()).then_some(Some(opened.message))
        })?;
        let app_id = self.apps[app].0.clone();
        let (format, _) = outer.ok_or(Reason::InvalidRequest)?;
        let encrypted = message.is_some();
        let push = Push::read(app_id, message.as_deref().unwrap_or(body));
        let push = push.map_err(|error| ApiError::new(Reason::InvalidRequest).because(&error))?;
        Ok(Received {
            push,
            encrypted,
            format,
            app,
        })
    }

    /// The reply in the message's format, and encrypted if the message was.
    pub fn seal(
        &self,
        received: &Received,
        reply: &Reply,
        random: &Random,
    ) -> Result<Response, ApiError> {
        let internal =
            |error: &dyn std::error::Error| ApiError::new(Reason::Internal).because(error);
        let text = received
            .push
            .format
            .write(&reply.0)
            .map_err(|error| internal(&error))?;
        if !received.encrypted {
            return Ok(response::reply_response(received.format, text));
        }
        let timestamp = self.clock.now_seconds();
        let nonce = u32::from_be_bytes(random.bytes()).to_string();
        let (app_id, secrets) = &self.apps[received.app];
        let stamp = Stamp {
            timestamp: &timestamp.to_string(),
            nonce: &nonce,
        };
        let sealed = secrets
            .seal(&text, app_id.as_str(), stamp, random.bytes())
            .ok_or(Reason::Internal)?;
        let fields = Fields::from_iter([
            ("Encrypt".to_owned(), sealed.encrypt.into()),
            ("MsgSignature".to_owned(), sealed.signature.into()),
            ("TimeStamp".to_owned(), timestamp.into()),
            ("Nonce".to_owned(), nonce.into()),
        ]);
        received
            .format
            .write(&fields)
            .map(|text| response::reply_response(received.format, text))
            .map_err(|error| internal(&error))
    }

    /// The mini-program for which `test` accepts the request. All are tested even after a match, so
    /// that the duration reveals nothing.
    fn find<T>(
        &self,
        test: impl Fn(&AppId, &PushSecrets) -> Option<T>,
    ) -> Result<(usize, T), PushRejection> {
        if self.apps.is_empty() {
            return Err(PushRejection::NotConfigured);
        }
        let tested = self
            .apps
            .iter()
            .enumerate()
            .filter_map(|(at, (id, secrets))| Some((at, test(id, secrets)?)));
        tested
            .collect::<Vec<_>>()
            .pop()
            .ok_or(PushRejection::Unsigned)
    }

    /// Only the canonical form of a timestamp is accepted: moving digits between the timestamp and
    /// the nonce could keep the signature valid.
    fn check_age(&self, timestamp: &str) -> Result<(), PushRejection> {
        let seconds: i64 = timestamp.parse().map_err(|_| PushRejection::Stale)?;
        let age = self
            .clock
            .now_seconds()
            .saturating_sub(seconds)
            .unsigned_abs();
        if seconds.to_string() == timestamp && age <= self.max_age.as_secs() {
            Ok(())
        } else {
            Err(PushRejection::Stale)
        }
    }
}
