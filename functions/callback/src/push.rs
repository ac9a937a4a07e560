//! Messages and events that WeChat pushes, as typed values.

mod event;
mod fields;
mod format;
mod xml;

pub use event::{Event, Grant, MediaCheck, Push};
pub use fields::{Fields, FormatError};
pub use format::Format;
