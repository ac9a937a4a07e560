//! What all functions of weapp-serverless have in common.
//!
//! One module is one thing a person can name. Who may import whom:
//! `runtime → edge → auth, wechat, users, cache → crypto, dynamo, kv → config`; `api` is known to
//! `edge` and to the handlers, and the stores and ciphers know nothing of HTTP.

pub mod api;
pub mod auth;
pub mod cache;
pub mod clock;
pub mod config;
pub mod content_check;
pub mod crypto;
pub mod deadline;
pub mod dynamo;
pub mod edge;
pub mod ids;
pub mod instance;
pub mod kv;
pub mod random;
pub mod resilience;
pub mod runtime;
pub mod telemetry;
pub mod users;
pub mod wechat;
