//! Authenticates pushed messages and decrypts them; encrypts the replies.

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
    Reply, answer,
    cipher::{PushSecrets, Stamp},
    push::{Fields, Format, Push},
    settings::MessagePushSettings,
};

/// What WeChat adds to the URL.
#[derive(Deserialize)]
pub struct PushQuery {
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    nonce: String,
    /// Over the two and the token: all that protects a message that is not encrypted.
    #[serde(default)]
    pub signature: String,
    /// The same with the ciphertext.
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

/// Why a request counts as not from WeChat. Told to the log only.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("MESSAGE_PUSH names no mini-program")]
    NobodyToAsk,
    #[error("the timestamp is invalid, or too far from now")]
    Stale,
    #[error(
        "signature or ciphertext is wrong for every mini-program of MESSAGE_PUSH (a key there wants the secure mode)"
    )]
    Unsigned,
    #[error("the signature came before, with another message")]
    SignatureUsed,
}

impl From<Refused> for ApiError {
    /// One reason for all: a sender that is not WeChat must not learn what was wrong.
    fn from(refused: Refused) -> Self {
        Self::new(Reason::DecryptFailed).because(&refused)
    }
}

/// A message from WeChat.
pub struct Received {
    pub push: Push,
    /// Whether it came encrypted, and its reply has to go encrypted.
    pub encrypted: bool,
    /// How it was written around its encryption.
    format: Format,
    /// Which of the apps it is for.
    app: usize,
}

/// The mini-programs and what each shares with WeChat.
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

    /// Whether WeChat asks on behalf of one of the mini-programs.
    pub fn verify(&self, query: &PushQuery) -> Result<(), Refused> {
        self.check_age(&query.timestamp)?;
        self.find(|_, secrets| {
            secrets
                .has_signed(query.stamp(), &query.signature)
                .then_some(())
        })
        .map(drop)
    }

    /// The message of a request.
    ///
    /// A mini-program with a key takes encrypted messages only. The signature of the others does
    /// not cover the body, so a sender that leaves the encryption away could write anything.
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
                    .has_signed(query.stamp(), &query.signature)
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

    /// The reply, written and encrypted as the message was.
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
            return Ok(answer::reply_response(received.format, text));
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
            .map(|text| answer::reply_response(received.format, text))
            .map_err(|error| internal(&error))
    }

    /// The one mini-program that `test` takes the request for. All are tested whatever comes out:
    /// the time reveals nothing.
    fn find<T>(
        &self,
        test: impl Fn(&AppId, &PushSecrets) -> Option<T>,
    ) -> Result<(usize, T), Refused> {
        if self.apps.is_empty() {
            return Err(Refused::NobodyToAsk);
        }
        let tested = self
            .apps
            .iter()
            .enumerate()
            .filter_map(|(at, (id, secrets))| Some((at, test(id, secrets)?)));
        tested.collect::<Vec<_>>().pop().ok_or(Refused::Unsigned)
    }

    /// One spelling for each second: a timestamp and a nonce whose digits were divided otherwise
    /// have the same signature.
    fn check_age(&self, timestamp: &str) -> Result<(), Refused> {
        let seconds: i64 = timestamp.parse().map_err(|_| Refused::Stale)?;
        let age = self
            .clock
            .now_seconds()
            .saturating_sub(seconds)
            .unsigned_abs();
        if seconds.to_string() == timestamp && age <= self.max_age.as_secs() {
            Ok(())
        } else {
            Err(Refused::Stale)
        }
    }
}
