//! Rate limits that all instances share: GCRA in whole microseconds of the Redis server's time.
//!
//! A [`Policy`] is a bucket that holds `burst` units and fills by one unit every `interval`. A
//! [`Cost`] is what one request takes from it, and a [`Charge`] takes several costs from the
//! buckets of one [`Identity`] in one step: it checks all of them first, then takes from all or
//! from none.

mod charge;
mod decision;
mod denials;
mod headers;
mod identity;
mod policy;

pub use self::{
    charge::{Charge, LUA},
    decision::{BucketState, Decision},
    denials::Denials,
    headers::{policies_field, standings_field},
    identity::Identity,
    policy::{Cost, Mode, Policy, PolicyError},
};
