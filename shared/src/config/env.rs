//! The environment as a snapshot that remembers what was wrong with it.

use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::references::{References, SECRET_SETTINGS, contains_reference};

/// One setting that can't be used. Never holds the value: it can be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The environment variable.
    pub name: &'static str,
    /// What is wrong and what would be right.
    pub what: String,
}

/// All that is wrong with the settings.
#[derive(Debug, Error, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ConfigError { name, what }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{name}: {what}")?;
        }
        Ok(())
    }
}

/// The environment variables at start, and the problems found in them so far.
pub struct Env {
    values: Arc<BTreeMap<String, SecretString>>,
    local: bool,
    problems: Mutex<Vec<ConfigError>>,
    references: Option<References>,
}

impl Env {
    /// The process's environment, for a deployed function.
    #[must_use]
    pub fn from_process() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the one place where the environment is read"
        )]
        let vars = std::env::vars_os();
        Self::new(vars.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// A snapshot of the given variables. An empty value counts as not set.
    pub fn new<N: Into<String>, V: Into<String>>(vars: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = vars
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let values: BTreeMap<_, _> = values
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect();
        Self {
            values: Arc::new(values),
            local: false,
            problems: Mutex::default(),
            references: None,
        }
    }

    /// The same values, and no problem yet.
    pub(super) fn snapshot(&self) -> Self {
        Self {
            values: Arc::clone(&self.values),
            local: self.local,
            problems: Mutex::default(),
            references: None,
        }
    }

    /// Sets `name`, in place of the value it had.
    pub(super) fn set(&mut self, name: &str, value: SecretString) {
        Arc::make_mut(&mut self.values).insert(name.to_owned(), value);
    }

    /// Takes `name` away.
    pub(super) fn remove(&mut self, name: &str) {
        Arc::make_mut(&mut self.values).remove(name);
    }

    /// Remembers where the values came from.
    pub(super) fn with_references(mut self, references: References) -> Self {
        self.references = Some(references);
        self
    }

    /// Where the value of one of `names` came from, if it did not stand in the environment itself.
    pub(crate) fn references(&self, names: &[&str]) -> Option<&References> {
        self.references
            .as_ref()
            .filter(|references| references.covers(names))
    }

    /// Whether the value of `name`, or a part of it, is a reference to where it is kept.
    pub(super) fn contains_reference(&self, name: &str) -> bool {
        self.get(name).is_some_and(contains_reference)
    }

    /// For development and tests in one process: only here are the embedded default secrets
    /// allowed, and only here may this process's own memory stand in for the state that instances
    /// share.
    #[must_use]
    pub fn local_development(mut self) -> Self {
        self.local = true;
        self
    }

    /// Sets `name` where it is not set.
    #[must_use]
    pub fn or(mut self, name: &str, value: impl Into<String>) -> Self {
        let values = Arc::make_mut(&mut self.values);
        values
            .entry(name.to_owned())
            .or_insert_with(|| SecretString::from(value.into()));
        self
    }

    /// Whether this is development in one process.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The value of `name`, if set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(ExposeSecret::expose_secret)
    }

    /// The value of `name`; not set is a problem.
    pub fn required(&self, name: &'static str, wanted: &str) -> &str {
        self.get(name).unwrap_or_else(|| {
            self.problem(name, format!("is not set; wanted: {wanted}"));
            ""
        })
    }

    /// The value of `name` as a `T`, or `default` where it is not set.
    pub fn parse<T: FromStr>(&self, name: &'static str, default: T, wanted: &str) -> T {
        let Some(text) = self.get(name) else {
            return default;
        };
        text.trim().parse().unwrap_or_else(|_| {
            self.problem(name, format!("can't be read; wanted: {wanted}"));
            default
        })
    }

    /// The value of `name` as a whole number within `range`.
    pub fn number(
        &self,
        name: &'static str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> u32 {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.parse(name, default, &wanted);
        if range.contains(&number) {
            return number;
        }
        self.problem(name, format!("is out of range; wanted: {wanted}"));
        default
    }

    /// The parts of a comma-separated value, without the blanks around them.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    }

    /// The same where at least one part is needed; none is a problem.
    pub fn required_list(&self, name: &'static str, wanted: &str) -> Vec<&str> {
        let parts: Vec<_> = self.list(name).collect();
        if parts.is_empty() {
            self.problem(name, format!("is not set; wanted: {wanted}"));
        }
        parts
    }

    /// Records that `name` can't be used.
    pub fn problem(&self, name: &'static str, what: impl Into<String>) {
        let problem = ConfigError {
            name,
            what: what.into(),
        };
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Whether all that was read so far can be used.
    ///
    /// # Errors
    /// The list of all problems.
    pub fn finish(&self) -> Result<(), ConfigErrors> {
        // Taken for a value, a reference would make a key that stands in every template.
        for name in SECRET_SETTINGS
            .into_iter()
            .filter(|name| self.contains_reference(name))
        {
            self.problem(name, "is a reference to where its value is kept, which only a function on Lambda can follow");
        }
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(problems.clone()))
        }
    }
}
