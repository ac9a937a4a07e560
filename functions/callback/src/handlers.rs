//! Who handles messages. Add your own here.

mod forget;
mod log;

use shared::instance::Instance;

use crate::Handler;

/// All handlers, in the order in which they are asked.
pub fn all(instance: &Instance) -> Vec<Box<dyn Handler>> {
    vec![
        Box::new(log::Log),
        Box::new(forget::Forget::new(instance)),
        // Your own: Box::new(greet::Greet),
    ]
}
