//! Objects in a bucket of S3, or of another store that speaks its protocol: forms with which clients
//! upload by themselves, and the few calls that a picture needs between its upload and its end.
//!
//! Requests and forms are signed with AWS Signature Version 4, by the credentials that DynamoDB's
//! requests are signed with.

mod answer;
mod client;
mod error;
mod form;
mod location;
mod sign;

pub use answer::ObjectStart;
pub use client::{Copy, Objects};
pub use error::ObjectError;
pub use form::{FormOrder, UploadForm};
