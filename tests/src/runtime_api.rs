//! The Lambda Runtime API, and a function's binary running against it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

mod function;
mod host;

pub use function::{FunctionUnderTest, Refusal};
pub use host::{Answer, Reply, RuntimeApi};
