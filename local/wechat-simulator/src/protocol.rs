//! WeChat's wire formats, without any state: paths, error codes, ids, ciphers, requests and
//! responses.

pub(crate) mod api_path;
pub(crate) mod call;
pub(crate) mod errcode;
pub(crate) mod ids;
pub(crate) mod keywords;
pub(crate) mod page;
pub(crate) mod png;
pub(crate) mod push;
pub(crate) mod push_crypto;
pub(crate) mod push_format;
pub(crate) mod response;
pub(crate) mod session_key;
pub(crate) mod template_field;
