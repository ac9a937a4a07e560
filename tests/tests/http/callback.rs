//! `GET` and `POST /api/v1/wechat/callback`, with state in the process and with a real Redis.

mod deduplication;
mod erasure;
mod forged;
mod lenient;
mod merged;
mod messages;
mod not_understood;
mod pushes;
mod webhooks;
