//! Messages and events that WeChat pushes, as typed values.

mod event;
mod fields;
mod format;
mod reading;
mod xml;

pub use event::{Event, Grant, MediaCheck, Push, ReadError};
pub(crate) use fields::find;
pub use fields::{Fields, FormatError};
pub use format::Format;
