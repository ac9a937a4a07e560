//! Settings: environment variables, read in one place, all problems reported at once.
//!
//! A part reads its settings when it is built (`TokenSettings::read(&env)`), so a function is asked
//! only for what it uses. Reading never fails: a wrong value is recorded and a stand-in takes its
//! place, and [`Env::finish`] refuses the start with the whole list before anything is served.

mod env;
mod references;
mod settings;

pub use env::{ConfigError, ConfigErrors, Env};
pub use references::{FetchTimeouts, References, ResolveError, SECRET_SETTINGS};
pub use settings::*;
