//! The message handlers. Add your own here.

mod erasure;
mod log;
mod pictures;
mod webhooks;

use shared::instance::Instance;

use crate::Handler;

/// All handlers, in the order in which they are called.
pub fn all(instance: &Instance) -> Vec<Box<dyn Handler>> {
    vec![
        Box::new(log::Log),
        Box::new(erasure::EraseOnRevocation::new(instance)),
        Box::new(pictures::JudgePictures::new(instance)),
        // After the others: what they do for users must not wait for the queue.
        Box::new(webhooks::Announcement::new(instance)),
        // Your own: Box::new(greet::Greet),
    ]
}
