//! Validated values: a value of these types is valid.

mod code;
mod edit;
mod image;
mod phone;
mod profile;

pub use self::{
    code::OneTimeCode,
    edit::Edit,
    image::ImageType,
    phone::{CountryCode, Phone},
    profile::{AvatarUrl, Nickname},
};
