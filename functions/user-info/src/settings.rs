//! Whether WeChat is asked about what users write.

use std::str::FromStr;

use shared::config::Env;

/// Whether WeChat is asked about what users write.
pub struct ContentCheckSettings {
    /// `CONTENT_CHECK`: `on` asks msgSecCheck about nicknames. Default `off`.
    pub on: bool,
    /// `CONTENT_CHECK_ON_FAILURE`: when WeChat can't say, `refuse` the change or `allow` it.
    /// Default `refuse`.
    pub on_failure: OnFailure,
}

/// What becomes of a text that WeChat can't judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is not written.
    Refuse,
    /// It is written unchecked.
    Allow,
}

struct Switch(bool);

impl FromStr for Switch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

impl FromStr for OnFailure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "allow" => Ok(Self::Allow),
            _ => Err(()),
        }
    }
}

impl ContentCheckSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let Switch(on) = env.parse("CONTENT_CHECK", Switch(false), "on or off");
        let on_failure = env.parse(
            "CONTENT_CHECK_ON_FAILURE",
            OnFailure::Refuse,
            "refuse or allow",
        );
        Self { on, on_failure }
    }
}
