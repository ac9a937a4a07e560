//! sendMessage: a subscribe message, to a user who agreed to one of its template.

use serde::{Deserialize, Serialize};

/// The version of a mini-program that a message opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MiniProgramState {
    /// The developers' version.
    Developer,
    /// The trial version.
    Trial,
    /// The published version.
    #[default]
    Formal,
}

/// The language of a message's template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum MessageLanguage {
    /// Chinese, simplified.
    #[default]
    #[serde(rename = "zh_CN")]
    SimplifiedChinese,
    /// English.
    #[serde(rename = "en_US")]
    English,
    /// Chinese, traditional, of Hong Kong.
    #[serde(rename = "zh_HK")]
    HongKongChinese,
    /// Chinese, traditional, of Taiwan.
    #[serde(rename = "zh_TW")]
    TaiwanChinese,
}
