//! Queues of Amazon SQS, by its JSON protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>):
//! the few calls that are needed, each one HTTP request that is signed like DynamoDB's.
//!
//! A message arrives at least once, and in no order.

mod bounded;
mod client;
mod error;
mod event;
mod sign;

pub use bounded::BoundedQueue;
pub use client::{Queue, Received};
pub use error::QueueError;
pub use event::{BatchResponse, QueueEvent, QueueRecord};
