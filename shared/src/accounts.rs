//! What becomes of whole accounts: changes of many rows, which are carried through as sagas.

mod deletion;

pub use deletion::{AccountDeletion, DELETION, DeletionParts};
