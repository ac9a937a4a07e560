//! WeChat's APIs: each handler is a function from the state and a call to the call's outcome.

pub(crate) mod access_token;
pub(crate) mod code_to_session;
pub(crate) mod custom_message;
pub(crate) mod media_check;
pub(crate) mod phone_number;
pub(crate) mod sec_check;
pub(crate) mod session_keys;
pub(crate) mod subscribe_message;
pub(crate) mod url_link;
pub(crate) mod wxacode;
