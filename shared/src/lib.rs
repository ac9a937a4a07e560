//! What all functions of weapp-serverless have in common.
//!
//! One module is one thing a person can name. A module imports only from layers below its own: the
//! list of layers stands in `docs/architecture.md`, and a test holds the imports against it.

pub mod api;
pub mod auth;
pub mod cache;
pub mod claims;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod dynamo;
pub mod edge;
pub mod encrypted_kv;
pub mod ids;
pub mod instance;
pub mod kv;
pub mod random;
pub mod request;
pub mod resilience;
pub mod runtime;
pub mod telemetry;
pub mod users;
pub mod values;
pub mod wechat;
