//! Verifies and opens the messages that WeChat pushes, and seals replies.

use std::time::Duration;

use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use shared::{
    api::{ApiError, Reason},
    clock::Clock,
    ids::AppId,
    instance::Instance,
    lenient_json::is_layout,
    random::Random,
    request,
};

use crate::{
    Reply,
    cipher::{PushError, PushSecrets, Stamp},
    push::{Fields, Format, FormatError, Push, ReadError, find},
    rejection::{BodyForm, NotHandled, PushRejection},
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
    /// `aes`, when the message is encrypted.
    #[serde(default)]
    encrypt_type: String,
}

impl PushQuery {
    fn stamp(&self) -> Stamp<'_> {
        Stamp {
            timestamp: &self.timestamp,
            nonce: &self.nonce,
        }
    }

    fn check_signature(&self, secrets: &PushSecrets) -> Result<(), PushRejection> {
        let is_signed = secrets.verify_signature(self.stamp(), &self.signature);
        is_signed.then_some(()).ok_or(PushRejection::Unsigned)
    }

    /// `rejection`, if this mini-program's token signed the query.
    fn rejection_if_signed(
        &self,
        secrets: &PushSecrets,
        rejection: PushRejection,
    ) -> PushRejection {
        self.check_signature(secrets).err().unwrap_or(rejection)
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

    /// Checks that a request is signed for one of the mini-programs, and returns whether that one's
    /// messages have no protection but such signatures.
    pub fn verify(&self, query: &PushQuery) -> Result<bool, PushRejection> {
        self.check_age(&query.timestamp)?;
        let (app, ()) = self.find(|_, secrets| query.check_signature(secrets))?;
        Ok(!self.apps[app].1.encrypts())
    }

    /// Whether the query is signed for one of the mini-programs. WeChat signs it in every mode.
    pub fn is_signed(&self, query: &PushQuery) -> bool {
        self.find(|_, secrets| query.check_signature(secrets))
            .is_ok()
    }

    /// The message of a request.
    ///
    /// A mini-program with a key accepts encrypted messages only. A plain message's signature does
    /// not cover the body, so accepting plain messages, too, would allow forged ones.
    pub fn open(&self, query: &PushQuery, body: &[u8]) -> Result<Received, ApiError> {
        self.check_age(&query.timestamp)?;
        let body = String::from_utf8_lossy(body);
        let outer = Format::read(&body);
        let (app, message) =
            self.find(|app_id, secrets| open_with(app_id, secrets, query, &outer))?;
        let app_id = self.apps[app].0.clone();
        request::note(|notes| notes.app_id = Some(app_id.clone()));
        let (format, fields) = outer.map_err(|error| unreadable(&error.into()))?;
        let encrypted = message.is_some();
        let push = match message {
            Some(message) => Push::read(app_id, &message),
            None => Push::new(app_id.clone(), format, plain_fields(fields, query, app_id)?),
        };
        Ok(Received {
            push: push.map_err(|error| unreadable(&error))?,
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
    /// that the duration reveals nothing. If none accepts it, the error is that of the mini-program
    /// which came closest.
    fn find<T>(
        &self,
        test: impl Fn(&AppId, &PushSecrets) -> Result<T, PushRejection>,
    ) -> Result<(usize, T), PushRejection> {
        let mut found = Err(PushRejection::NotConfigured);
        for (at, (id, secrets)) in self.apps.iter().enumerate() {
            found = match (test(id, secrets), found) {
                (Ok(accepted), _) => Ok((at, accepted)),
                (Err(PushRejection::Unsigned), Err(PushRejection::NotConfigured)) => {
                    Err(PushRejection::Unsigned)
                }
                (Err(PushRejection::Unsigned), before) => before,
                (Err(closer), Err(_)) => Err(closer),
                (Err(_), accepted) => accepted,
            };
        }
        found
    }

    /// Only the canonical form of a timestamp is accepted: moving digits between the timestamp and
    /// the nonce could keep the signature valid.
    fn check_age(&self, timestamp: &str) -> Result<(), PushRejection> {
        let seconds: i64 = timestamp.parse().map_err(|_| PushRejection::NoTimestamp)?;
        let age = self
            .clock
            .now_seconds()
            .saturating_sub(seconds)
            .unsigned_abs();
        if seconds.to_string() != timestamp {
            Err(PushRejection::NoTimestamp)
        } else if age > self.max_age.as_secs() {
            Err(PushRejection::Stale(age))
        } else {
            Ok(())
        }
    }
}

/// The decrypted message of a request to this mini-program, `None` if it has the plain mode.
fn open_with(
    app_id: &AppId,
    secrets: &PushSecrets,
    query: &PushQuery,
    outer: &Result<(Format, Fields), FormatError>,
) -> Result<Option<String>, PushRejection> {
    if !secrets.encrypts() {
        return query.check_signature(secrets).map(|()| None);
    }
    let (_, fields) = outer.as_ref().map_err(|error| {
        let form = BodyForm::Unreadable(error.clone());
        query.rejection_if_signed(secrets, PushRejection::NotEncrypted(form))
    })?;
    let Some(encrypt) = fields.get("Encrypt").and_then(Value::as_str) else {
        let rejection = PushRejection::NotEncrypted(BodyForm::Plain);
        return Err(query.rejection_if_signed(secrets, rejection));
    };
    let opened = secrets
        .open(query.stamp(), &query.msg_signature, encrypt)
        .map_err(|error| match error {
            PushError::Signature => PushRejection::Unsigned,
            PushError::Ciphertext => PushRejection::WrongKey,
        })?;
    if opened.receiver.trim_matches(is_layout) == app_id.as_str() {
        Ok(Some(opened.message))
    } else {
        Err(PushRejection::AnotherMiniProgram)
    }
}

/// The fields of a plain message. In the compatible mode it comes with its encryption, which is new
/// with each delivery and no part of it. In the secure mode there is nothing but the encryption.
fn plain_fields(
    mut fields: Fields,
    query: &PushQuery,
    app_id: AppId,
) -> Result<Fields, NotHandled> {
    let encrypted = fields.remove("Encrypt").is_some() || query.encrypt_type == "aes";
    let has = |name| find(&fields, name).is_some();
    let is_message = has("MsgType") || has("Event");
    if encrypted && !is_message {
        return Err(NotHandled::NoKey(app_id));
    }
    Ok(fields)
}

/// A verified message that can't be read. A known event is one that we should understand: an error
/// has WeChat send it again, and operators see it.
fn unreadable(error: &ReadError) -> ApiError {
    let reason = match error {
        ReadError::Format(_) => Reason::InvalidRequest,
        ReadError::NotUnderstood { kind, .. } => {
            let (request_id, cause) = (request::id(), error.to_string());
            tracing::warn!(request_id, kind, cause, "a known event is not understood");
            Reason::Internal
        }
    };
    ApiError::new(reason).because(error)
}
