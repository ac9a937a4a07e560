//! Validated values: one that exists follows its rules.

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
