//! Messages and events that WeChat pushes, as typed values.

mod event;
mod format;
mod xml;

pub use event::{Event, Grant, MediaCheck, Push};
pub use format::{Fields, Format, FormatError};
