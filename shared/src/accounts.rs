//! What becomes of whole accounts: changes of many rows, which are carried through as sagas; and the
//! phone numbers by which two accounts turn out to be one person's.

mod deletion;
mod merge;
mod parts;
mod phone;
mod sagas;

pub use deletion::{AccountDeletion, DELETION, DeletionError};
pub use merge::{AccountMerge, MERGE, MergeError, MergeProof, Unfit};
pub use parts::AccountParts;
pub use phone::{
    Bearer, Choice, Offer, PhoneBinding, PhoneCodes, PhoneError, PhoneParts, PhoneTickets,
    Redeemed, Ticket,
};
pub use sagas::{AccountSagas, BarredFor};
