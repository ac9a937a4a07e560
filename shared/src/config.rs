//! Settings: environment variables, read in one place, all config errors reported at once.
//!
//! Each variable is declared once, as data ([`settings!`](crate::settings)): its name, form, default
//! and meaning. From that come how it is read, the texts of config errors, `docs/configuration.md`
//! and `.env.example`.
//!
//! A part reads its settings when it is built (`TokenSettings::read(&env)`), so a function is asked
//! only for what it uses. Reading never fails: a wrong value is recorded, a placeholder takes its
//! place, and [`Env::validate`] refuses the start with the whole list before anything is served.

mod credentials;
mod documented;
mod env;
mod reference;
mod references;
mod setting;
mod settings;
mod unknown;

pub use credentials::{AwsCredentials, AwsKeys};
pub use documented::{Documented, Form, Section, Translated};
pub use env::{ConfigError, ConfigErrors, Env, Reads};
pub use reference::SECRET_SETTINGS;
pub use references::{FetchTimeouts, References, ResolveError};
pub use setting::{List, Number, Optional, Period, Port, Required, Setting, Text, Words};
pub use settings::*;
pub(crate) use unknown::log_unknown_names;
pub use unknown::{UnknownName, unknown_names};
