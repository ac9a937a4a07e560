//! Rate limits that all instances share: GCRA in whole microseconds of the Redis server's time.
//!
//! A [`Policy`] is a bucket that holds `burst` units and fills by one unit every `interval`. A
//! [`Price`] is what one request takes from it, and a [`Charge`] takes several prices from the
//! buckets of one [`Identity`] in one step: it looks at all of them first, then takes from all or
//! from none.

mod charge;
mod denials;
mod headers;
mod identity;
mod policy;

pub use self::{
    charge::{Charge, Decision, LUA, Verdict},
    denials::Denials,
    headers::{policies_field, standings_field},
    identity::Identity,
    policy::{Mode, Policy, PolicyError, Price},
};
