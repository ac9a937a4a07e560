//! The control side: what happens on the phone or inside WeChat, without a call by the server.

pub(crate) mod app_user;
pub(crate) mod codes;
pub(crate) mod customer_service;
pub(crate) mod encrypted_data;
pub(crate) mod media_verdict;
pub(crate) mod push;
pub(crate) mod session_key;
pub(crate) mod subscription;
