//! Settings for the documents: what the tables and `.env.example` are made of.
//!
//! No function uses any of this, so no function's binary holds it.

/// A text in both languages of the documents.
#[derive(Clone, Copy, Debug)]
pub struct Translated {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

/// What values a setting takes, and which one it has when it is not set.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A whole number.
    Number {
        /// When not set.
        default: u32,
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
        /// `s` or `ms`, for a length of time.
        unit: Option<&'static str>,
    },
    /// A TCP port.
    Port {
        /// When not set.
        default: u16,
    },
    /// One of a few words.
    Words {
        /// When not set.
        default: &'static str,
        /// All.
        words: &'static [&'static str],
    },
    /// A text with a default.
    Text {
        /// When not set.
        default: &'static str,
        /// What is right.
        wanted: &'static str,
    },
    /// A text that may be missing.
    Optional {
        /// What is right.
        wanted: &'static str,
    },
    /// A text that has to be set.
    Required {
        /// What is right.
        wanted: &'static str,
    },
    /// Entries separated by commas.
    List {
        /// Whether there has to be one.
        required: bool,
        /// What is right.
        wanted: &'static str,
    },
}

/// The chapters of the documents, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The mini-programs and WeChat's APIs.
    WeChat,
    /// Messages that WeChat pushes.
    MessagePush,
    /// Users, who administers them, and what becomes of their accounts.
    Accounts,
    /// Uploaded avatars.
    Avatars,
    /// Events for receivers.
    Webhooks,
    /// Messages to users.
    Messages,
    /// Access and refresh tokens.
    Tokens,
    /// Keys of what is encrypted.
    Encryption,
    /// DynamoDB.
    Database,
    /// Redis and what is cached in it.
    Redis,
    /// Rate limits.
    RateLimits,
    /// The circuit breaker in front of WeChat.
    Breaker,
    /// What every request passes.
    Requests,
    /// Logs and metrics.
    Telemetry,
    /// Processes that serve HTTP themselves.
    Server,
    /// `make run`.
    Local,
}

impl Section {
    /// All, in their order.
    pub const ALL: [Self; 16] = [
        Self::WeChat,
        Self::MessagePush,
        Self::Accounts,
        Self::Avatars,
        Self::Webhooks,
        Self::Messages,
        Self::Tokens,
        Self::Encryption,
        Self::Database,
        Self::Redis,
        Self::RateLimits,
        Self::Breaker,
        Self::Requests,
        Self::Telemetry,
        Self::Server,
        Self::Local,
    ];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> Translated {
        let (en, zh) = match self {
            Self::WeChat => ("Mini-programs and WeChat", "小程序与微信接口"),
            Self::MessagePush => ("Message push", "消息推送"),
            Self::Accounts => ("Accounts", "账号"),
            Self::Avatars => ("Avatars", "头像"),
            Self::Webhooks => ("Webhooks", "Webhook"),
            Self::Messages => ("Messages to users", "发给用户的消息"),
            Self::Tokens => ("Tokens and sessions", "令牌与会话"),
            Self::Encryption => ("Encryption keys", "加密密钥"),
            Self::Database => ("DynamoDB", "DynamoDB"),
            Self::Redis => ("Redis and caches", "Redis 与缓存"),
            Self::RateLimits => ("Rate limits", "限流"),
            Self::Breaker => ("Circuit breaker in front of WeChat", "微信调用熔断"),
            Self::Requests => ("Requests", "请求处理"),
            Self::Telemetry => ("Logs and metrics", "日志与指标"),
            Self::Server => (
                "Serving without Lambda (make run, server)",
                "不使用 Lambda 时（make run 与 server）",
            ),
            Self::Local => ("Local development (make run)", "本地运行（make run）"),
        };
        Translated { en, zh }
    }
}

/// One setting, as the documents show it.
#[derive(Clone, Copy, Debug)]
pub struct Documented {
    /// The environment variable.
    pub name: &'static str,
    /// Its chapter.
    pub section: Section,
    /// Its values.
    pub form: Form,
    /// What it is for.
    pub meaning: Translated,
    /// What is right, in Chinese, for forms that say it in words.
    pub wanted_zh: Option<&'static str>,
    /// What it means that it is not set, where the default does not show it.
    pub unset: Option<Translated>,
    /// A value to copy, where the default is none.
    pub example: Option<&'static str>,
    /// `make run` has a value of its own for it.
    pub has_local_value: bool,
}

impl Documented {
    /// With what every setting has; the `with_` functions add the rest.
    #[must_use]
    pub const fn new(
        name: &'static str,
        section: Section,
        form: Form,
        meaning: Translated,
    ) -> Self {
        Self {
            name,
            section,
            form,
            meaning,
            wanted_zh: None,
            unset: None,
            example: None,
            has_local_value: false,
        }
    }

    /// What is right, in Chinese.
    #[must_use]
    pub const fn wanted_zh(mut self, wanted: &'static str) -> Self {
        self.wanted_zh = Some(wanted);
        self
    }

    /// What it means that it is not set.
    #[must_use]
    pub const fn unset(mut self, en: &'static str, zh: &'static str) -> Self {
        self.unset = Some(Translated { en, zh });
        self
    }

    /// A value to copy.
    #[must_use]
    pub const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }

    /// `make run` has a value of its own.
    #[must_use]
    pub const fn has_local_value(mut self) -> Self {
        self.has_local_value = true;
        self
    }
}

/// Declares the settings of one chapter: a constant for each, and the list of them for the
/// documents.
///
/// ```
/// use shared::config::{Env, Number};
///
/// shared::settings! {
///     /// The settings of this example.
///     pub DOCUMENTED in Requests;
///
///     pub GREETINGS: Number = Number::new(3, 1..=10),
///         "how often a user is greeted",
///         "问候的次数";
/// }
///
/// assert_eq!(GREETINGS.read(&Env::new([("GREETINGS", "5")])), 5);
/// assert_eq!(DOCUMENTED[0].name, "GREETINGS");
/// ```
///
/// After the two meanings come, where needed, calls of [`Documented`]'s functions:
/// `example("…"), unset("…", "…")`.
#[macro_export]
macro_rules! settings {
    (
        $(#[$doc:meta])* $list_vis:vis $list:ident in $section:ident;
        $(
            $vis:vis $name:ident: $form:ty = $value:expr,
                $en:literal,
                $zh:literal
                $(, $detail:ident($($argument:literal),*))*;
        )+
    ) => {
        $(
            #[doc = $en]
            $vis const $name: $crate::config::Setting<$form> =
                $crate::config::Setting::new(stringify!($name), $value);
        )+

        $(#[$doc])*
        $list_vis static $list: &[$crate::config::Documented] = &[
            $(
                $crate::config::Documented::new(
                    stringify!($name),
                    $crate::config::Section::$section,
                    $name.form().describe(),
                    $crate::config::Translated { en: $en, zh: $zh },
                )
                $(.$detail($($argument),*))*,
            )+
        ];
    };
}
