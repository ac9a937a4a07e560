//! Validated values: a value of these types is valid.

mod code;
mod edit;
mod phone;
mod profile;

pub use self::{
    code::OneTimeCode,
    edit::Edit,
    phone::{CountryCode, Phone},
    profile::{AvatarUrl, Nickname},
};
