//! The client of `api.weixin.qq.com`: `client` makes every call, and each API has its own file.

mod access_token;
mod authorized;
mod client;
mod code_to_session;
mod content_check;
mod custom_message;
mod errcode;
mod error;
mod media_check;
mod phone_number;
mod session_key;
mod stable_token;
mod subscribe_message;

pub use access_token::{AccessTokenParts, WeChatAccessTokens};
pub use authorized::{AccountQuota, AuthorizedWeChat};
pub use client::{Protection, WECHAT, WeChat};
pub use code_to_session::CodeSession;
pub use content_check::{Advice, Scene};
pub use custom_message::CustomMessage;
pub use error::WeChatError;
pub use session_key::{EncryptKey, KeyOwner};
pub use subscribe_message::{MessageLanguage, MiniProgramState};
