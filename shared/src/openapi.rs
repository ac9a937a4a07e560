//! The API as OpenAPI 3.1: what each function declares beside its routes, as one document. Only
//! `local` and the tests are built with it (feature `openapi`).
//!
//! The schemas of bodies and answers are derived from their types, the limits in them are the
//! constants of the validation, and what follows from who may call an operation, or from its having a
//! body, is added here, so that no declaration can forget it.

mod document;
pub mod examples;
mod failures;
mod headers;
mod operation;
mod tidy;
mod values;

pub use document::document;
pub use failures::ReasonName;
pub use operation::{Access, Operation, Tag};
pub use schemars::{JsonSchema, Schema, SchemaGenerator, generate::Contract, json_schema};
pub use serde_json::{Value, json};
