//! `GET` and `POST /api/v1/wechat/callback`, with state in the process and with a real Redis.

mod claims;
mod erasure;
mod hostile;
mod messages;
mod pushes;
