//! The code that the functions of weapp-serverless share.
//!
//! Each module has one purpose. A module imports only from the layers below its own: the layers are
//! listed in `docs/architecture.md`, and a test checks the imports against the list.

pub mod accounts;
pub mod api;
pub mod audit;
pub mod auth;
pub mod cache;
pub mod changes;
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
pub mod lenient_json;
pub mod messages;
pub mod objects;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod queue;
pub mod random;
pub mod request;
pub mod resilience;
pub mod runtime;
pub mod saga;
mod sigv4;
pub mod telemetry;
pub mod tls;
pub mod users;
pub mod values;
pub mod webhooks;
pub mod wechat;
