//! One setting: the name of its variable, its form and its default, each stated once.
//!
//! A form knows how a value is read and how an error says what would be right. What a setting is
//! for stands beside it in [`settings!`](crate::settings), for the documents.

mod numbers;
mod texts;

use super::Env;

pub use self::{
    numbers::{Number, Period, Port},
    texts::{List, Optional, Required, Text, Words},
};

/// A setting of the form `F`: [`Number`], [`Period`], [`Port`], [`Words`], [`Text`], [`Optional`],
/// [`Required`] or [`List`].
#[derive(Clone, Copy, Debug)]
pub struct Setting<F> {
    name: &'static str,
    form: F,
}

impl<F> Setting<F> {
    /// The setting of the variable `name`.
    #[must_use]
    pub const fn new(name: &'static str, form: F) -> Self {
        Self { name, form }
    }

    /// The name of its variable.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its form.
    #[must_use]
    pub const fn form(&self) -> &F {
        &self.form
    }

    /// Its value as it stands in the environment, if it is set.
    #[must_use]
    pub fn get<'e>(&self, env: &'e Env) -> Option<&'e str> {
        env.get(self.name)
    }

    /// Records that it can't be used. `what` must not hold the value.
    pub fn add_error(&self, env: &Env, what: impl Into<String>) {
        env.add_error(self.name, what);
    }

    /// What `parse` makes of the value, or `default` where it is not set. A value that it rejects
    /// is a config error.
    fn parse_or<'e, T>(
        &self,
        env: &'e Env,
        default: T,
        wanted: impl FnOnce() -> String,
        parse: impl FnOnce(&'e str) -> Option<T>,
    ) -> T {
        let Some(text) = self.get(env) else {
            return default;
        };
        parse(text.trim()).unwrap_or_else(|| {
            self.add_error(env, format!("can't be read; wanted: {}", wanted()));
            default
        })
    }
}
