//! The client of `api.weixin.qq.com`.

mod client;
mod errcode;
mod error;

pub use client::{CodeSession, WeChat};
pub use error::WeChatError;
