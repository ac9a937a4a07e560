//! Messages that WeChat pushes.

use std::time::Duration;

use base64::{
    Engine,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{SecretBox, SecretString};

use shared::{
    config::{Env, seconds},
    ids::AppId,
};

/// How the tokens of local development begin. They are public, so they are refused on Lambda.
pub const LOCAL_PUSH_TOKEN: &str = "localDevelopmentPushToken";
/// The `EncodingAESKey` of local development. It is public, so it is refused on Lambda.
pub const LOCAL_PUSH_KEY: &str = "localDevelopmentOnlyEncodingAESKeyDoNotDepl";

const NAME: &str = "MESSAGE_PUSH";

/// An `EncodingAESKey` is random letters and digits, 43 of them for 256 bits: what the last one
/// says beyond those is not always zero, and a strict decoder would refuse the key.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A mini-program whose messages are taken.
pub struct PushApp {
    /// Which.
    pub app_id: AppId,
    /// Signs.
    pub token: SecretString,
    /// Encrypts, where there is one.
    pub key: Option<SecretBox<[u8; 32]>>,
}

/// Whose pushed messages are taken.
pub struct MessagePushSettings {
    /// `MESSAGE_PUSH`: comma list of `appid:token` or `appid:token:EncodingAESKey`, as entered in
    /// the console of each mini-program. The token, 16 to 32 letters and digits, has to be a
    /// different one for each: it tells which of them a message is for. With an `EncodingAESKey`, only
    /// encrypted messages are taken. Default none: all are refused.
    pub apps: Vec<PushApp>,
    /// `MESSAGE_PUSH_MAX_AGE_SECONDS`: a message whose timestamp is further than this from now is
    /// refused, 30 s to 1 h. Default 300.
    pub max_age: Duration,
}

impl MessagePushSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            apps: apps(env),
            max_age: seconds(env.number("MESSAGE_PUSH_MAX_AGE_SECONDS", 300, 30..=3600)),
        }
    }
}

fn apps(env: &Env) -> Vec<PushApp> {
    let mut tokens = Vec::new();
    let mut apps: Vec<PushApp> = Vec::new();
    for (index, entry) in env.list(NAME).enumerate() {
        match app(entry, env.is_local()) {
            Ok((_, token)) if tokens.contains(&token) => {
                problem(env, index, "has the token of another entry")
            }
            Ok((app, _)) if apps.iter().any(|other| other.app_id == app.app_id) => {
                problem(env, index, "is a second one for its mini-program");
            }
            Ok((app, token)) => {
                tokens.push(token);
                apps.push(app);
            }
            Err(what) => problem(env, index, what),
        }
    }
    apps
}

fn problem(env: &Env, index: usize, what: &str) {
    env.problem(NAME, format!("entry {} {what}", index + 1));
}

/// The app of an entry, with its token.
fn app(entry: &str, is_local: bool) -> Result<(PushApp, &str), &'static str> {
    let mut parts = entry.splitn(3, ':');
    let app_id = parts.next().and_then(|id| id.parse().ok());
    let (Some(app_id), Some(token)) = (app_id, parts.next()) else {
        return Err("is not appid:token or appid:token:EncodingAESKey");
    };
    if !(16..=32).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err("has a token that is not 16 to 32 letters and digits");
    }
    let key = parts.next();
    if !is_local && (token.starts_with(LOCAL_PUSH_TOKEN) || key == Some(LOCAL_PUSH_KEY)) {
        return Err("has the public token or key of local development");
    }
    if [Some(token), key]
        .into_iter()
        .flatten()
        .any(is_one_character)
    {
        return Err("has a placeholder for a token or key");
    }
    let key = match key.map(push_key) {
        Some(None) => return Err("has an EncodingAESKey that is not 43 letters and digits"),
        key => key.flatten(),
    };
    Ok((
        PushApp {
            app_id,
            token: SecretString::from(token),
            key,
        },
        token,
    ))
}

/// The 256 bits of an `EncodingAESKey`, as the mini-program's console shows it: 43 letters and
/// digits.
#[must_use]
pub fn push_key(encoding_aes_key: &str) -> Option<SecretBox<[u8; 32]>> {
    if encoding_aes_key.len() != 43
        || !encoding_aes_key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric())
    {
        return None;
    }
    let bytes = LENIENT.decode(format!("{encoding_aes_key}=")).ok()?;
    bytes
        .try_into()
        .ok()
        .map(|key| SecretBox::new(Box::new(key)))
}

fn is_one_character(secret: &str) -> bool {
    let mut bytes = secret.bytes();
    bytes
        .next()
        .is_some_and(|first| bytes.all(|byte| byte == first))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use secrecy::ExposeSecret;

    use super::*;

    const TOKEN: &str = "Zk3v9Qx7Lm2Tn8Rb";
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    fn read(value: &str) -> (Vec<String>, Result<(), String>) {
        let env = Env::new([(NAME, value)]);
        let apps = MessagePushSettings::read(&env).apps.into_iter();
        let apps = apps
            .map(|app| format!("{} {}", app.app_id, app.key.is_some()))
            .collect();
        (apps, env.finish().map_err(|problems| problems.to_string()))
    }

    #[test]
    fn a_key_decides_whether_messages_are_encrypted() {
        let (apps, outcome) = read(&format!("wx1:{TOKEN}, wx2:{TOKEN}2:{KEY}"));
        assert_eq!(
            (apps.as_slice(), outcome),
            (
                ["wx1 false".to_owned(), "wx2 true".to_owned()].as_slice(),
                Ok(())
            )
        );
        assert_eq!(read(""), (Vec::new(), Ok(())));
    }

    #[test]
    fn what_is_wrong_is_told_without_its_value() {
        for (value, word) in [
            ("wx1".to_owned(), "not appid:token"),
            (format!(":{TOKEN}"), "not appid:token"),
            ("wx1:tooShort".to_owned(), "16 to 32"),
            (
                "wx1:hunter2-hunter2-hunter2".to_owned(),
                "letters and digits",
            ),
            (format!("wx1:{TOKEN}:"), "43 letters"),
            (format!("wx1:{TOKEN}:{}", &KEY[1..]), "43 letters"),
            (format!("wx1:{TOKEN}:{KEY}:more"), "43 letters"),
            (format!("wx1:{TOKEN}:{}", "A".repeat(43)), "placeholder"),
            (format!("wx1:{}", "A".repeat(20)), "placeholder"),
            (
                format!("wx1:{TOKEN},wx2:{TOKEN}"),
                "entry 2 has the token of another",
            ),
            (
                format!("wx1:{TOKEN},wx1:{TOKEN}2"),
                "entry 2 is a second one",
            ),
            (format!("wx1:{LOCAL_PUSH_TOKEN}1"), "local development"),
            (format!("wx1:{TOKEN}:{LOCAL_PUSH_KEY}"), "local development"),
        ] {
            let (_, outcome) = read(&value);
            let problems = outcome.unwrap_err();
            assert!(
                problems.starts_with(NAME) && problems.contains(word),
                "{value}: {problems}"
            );
            for secret in [TOKEN, KEY, "hunter2"] {
                assert!(!problems.contains(secret), "{value}: {problems}");
            }
        }
    }

    #[test]
    fn local_development_has_a_token_and_a_key_of_its_own() {
        let env = Env::new([(NAME, format!("wx1:{LOCAL_PUSH_TOKEN}1:{LOCAL_PUSH_KEY}"))])
            .local_development();
        assert!(MessagePushSettings::read(&env).apps[0].key.is_some());
        assert_eq!(env.finish(), Ok(()));
    }

    #[test]
    fn a_key_is_43_letters_and_digits() {
        assert!(
            push_key(KEY).is_some() && STANDARD.decode(format!("{KEY}=")).is_err(),
            "lenient where it must be"
        );
        assert_eq!(push_key(&"A".repeat(43)).unwrap().expose_secret(), &[0; 32]);
        for bad in [
            "",
            &KEY[1..],
            &format!("{KEY}A"),
            &format!("{KEY}="),
            &format!("{}+", &KEY[1..]),
        ] {
            assert!(push_key(bad).is_none(), "{bad}");
        }
    }
}
