//! What becomes of whole accounts: changes of many rows, which are carried through as sagas.

mod deletion;
mod merge;
mod parts;
mod sagas;

pub use deletion::{AccountDeletion, DELETION};
pub use merge::{AccountMerge, MERGE, MergeError, Unfit};
pub use parts::AccountParts;
pub use sagas::{AccountSagas, BarredFor};
