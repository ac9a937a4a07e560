//! Why a record of the stream can't be read.

use thiserror::Error;

/// Why a record can't be read. Its text names no content of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not a record of a stream.
    #[error("not a record of the table's stream")]
    Record,
    /// Of no kind that this version knows.
    #[error("a row of an unknown kind")]
    Kind,
    /// The row does not have the form in which this version writes rows of its kind: another version
    /// wrote it, or somebody by hand.
    #[error("a row of the kind {0} in an unknown form")]
    Row(&'static str),
}
