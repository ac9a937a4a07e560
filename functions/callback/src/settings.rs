//! Messages that WeChat pushes.

use std::time::Duration;

use base64::{
    Engine,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{SecretBox, SecretString};

use shared::{
    config::{Env, List, Period, Words},
    ids::AppId,
};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in MessagePush;

    pub MESSAGE_PUSH: List = List::optional("appid:token or appid:token:EncodingAESKey, separated by commas"),
        "message push of each mini-program, as entered in its console; with an EncodingAESKey, only encrypted messages are taken. Tokens of 16 to 32 letters and digits, a different one for each",
        "各小程序的消息推送配置，与后台填写的一致；填写了 EncodingAESKey 则只接受加密消息（安全模式）。token 为 16 到 32 位字母数字，各不相同",
        wanted_zh("`appid:token` 或 `appid:token:EncodingAESKey`，逗号分隔"),
        unset("not set: all are rejected", "未设置：全部拒绝"),
        example("wx0123456789abcdef:aTokenOf16To32LettersAndDigits:0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"),
        has_local_value();
    MESSAGE_PUSH_MAX_AGE_SECONDS: Period = Period::seconds(300, 30..=3600),
        "a pushed message is rejected when its timestamp differs from now by more than this",
        "推送的时间戳与当前时间相差超过此值则拒绝";
    pub(crate) WEBHOOK_WECHAT_FIELDS: Words<bool> = Words::new(&["off", "on"], &[false, true], 0),
        "whether events of pushed messages have the fields of the message: openids, and what users wrote ([webhooks.md](webhooks.md#events))",
        "推送消息的 webhook 事件是否包含消息字段，其中有 openid 和用户发送的内容（见 [webhooks.md](webhooks.md)）";
}

/// How the tokens of local development begin. They are public, so they are rejected on Lambda.
pub const LOCAL_PUSH_TOKEN: &str = "localDevelopmentPushToken";
/// The `EncodingAESKey` of local development. It is public, so it is rejected on Lambda.
pub const LOCAL_PUSH_KEY: &str = "localDevelopmentOnlyEncodingAESKeyDoNotDepl";

/// An `EncodingAESKey` is random letters and digits, 43 of them for 256 bits: what the last one
/// says beyond those is not always zero, and a strict decoder would refuse the key.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A mini-program whose messages are accepted.
pub struct PushApp {
    /// Its AppID.
    pub app_id: AppId,
    /// Signs its messages.
    pub token: SecretString,
    /// Encrypts its messages, if they are encrypted.
    pub key: Option<SecretBox<[u8; 32]>>,
}

/// The mini-programs whose messages are accepted.
pub struct MessagePushSettings {
    /// `MESSAGE_PUSH`. A token tells which mini-program a message is for. None: all messages are
    /// rejected.
    pub apps: Vec<PushApp>,
    /// `MESSAGE_PUSH_MAX_AGE_SECONDS`: a message whose timestamp differs from now by more than this
    /// is rejected.
    pub max_age: Duration,
}

impl MessagePushSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            apps: apps(env),
            max_age: MESSAGE_PUSH_MAX_AGE_SECONDS.read(env),
        }
    }
}

fn apps(env: &Env) -> Vec<PushApp> {
    let mut tokens = Vec::new();
    let mut apps: Vec<PushApp> = Vec::new();
    for (index, entry) in MESSAGE_PUSH.entries(env).enumerate() {
        let add_error = |what: &str| MESSAGE_PUSH.add_entry_error(env, index, what);
        match app(entry, env.is_local()) {
            Ok((_, token)) if tokens.contains(&token) => {
                add_error("has the token of another entry");
            }
            Ok((app, _)) if apps.iter().any(|other| other.app_id == app.app_id) => {
                add_error("is a second one for its mini-program");
            }
            Ok((app, token)) => {
                tokens.push(token);
                apps.push(app);
            }
            Err(what) => add_error(what),
        }
    }
    apps
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
        let env = Env::new([(MESSAGE_PUSH.name(), value)]);
        let apps = MessagePushSettings::read(&env).apps.into_iter();
        let apps = apps
            .map(|app| format!("{} {}", app.app_id, app.key.is_some()))
            .collect();
        (apps, env.validate().map_err(|errors| errors.to_string()))
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
    fn a_config_error_never_shows_the_value() {
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
            let errors = outcome.unwrap_err();
            assert!(
                errors.starts_with(MESSAGE_PUSH.name()) && errors.contains(word),
                "{value}: {errors}"
            );
            for secret in [TOKEN, KEY, "hunter2"] {
                assert!(!errors.contains(secret), "{value}: {errors}");
            }
        }
    }

    #[test]
    fn local_development_has_a_token_and_a_key_of_its_own() {
        let env = Env::new([(
            MESSAGE_PUSH.name(),
            format!("wx1:{LOCAL_PUSH_TOKEN}1:{LOCAL_PUSH_KEY}"),
        )])
        .local_development();
        assert!(MessagePushSettings::read(&env).apps[0].key.is_some());
        assert_eq!(env.validate(), Ok(()));
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
