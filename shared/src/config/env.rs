//! The environment as a snapshot that remembers what was wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{
    AwsCredentials,
    reference::{SECRET_SETTINGS, contains_reference},
};

type Values = BTreeMap<String, SecretString>;

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

/// The names of the variables that were read. Cheap to clone; all clones share one set.
#[derive(Debug, Clone, Default)]
pub struct Reads(Arc<Mutex<BTreeSet<String>>>);

impl Reads {
    /// The names so far.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn record(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned());
    }
}

/// The environment variables at start, and the errors found in them so far.
pub struct Env {
    values: Arc<Values>,
    /// With references instead of the values that were fetched for them, where any were.
    unresolved: Option<Arc<Values>>,
    local: bool,
    credentials: Option<AwsCredentials>,
    errors: Mutex<Vec<ConfigError>>,
    reads: Option<Reads>,
}

impl Env {
    /// The process's environment, for a deployed function.
    #[must_use]
    pub fn from_process() -> Self {
        #[expect(
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
            credentials: None,
            errors: Mutex::default(),
            unresolved: None,
            reads: None,
        }
    }

    /// The same values, without the errors found in them so far.
    #[must_use]
    pub fn without_errors(&self) -> Self {
        Self {
            values: Arc::clone(&self.values),
            local: self.local,
            credentials: self.credentials.clone(),
            errors: Mutex::default(),
            unresolved: None,
            reads: self.reads.clone(),
        }
    }

    /// Sets `name`, in place of the value it had.
    pub(super) fn set(&mut self, name: &str, value: SecretString) {
        Arc::make_mut(&mut self.values).insert(name.to_owned(), value);
    }

    /// Removes `name`.
    pub(super) fn remove(&mut self, name: &str) {
        Arc::make_mut(&mut self.values).remove(name);
    }

    /// Remembers the references in `given` that the values were fetched for.
    pub(super) fn resolved_from(mut self, given: &Self) -> Self {
        self.unresolved = Some(Arc::clone(&given.values));
        self
    }

    /// The settings with references instead of what was fetched for them, if anything was: to fetch
    /// it again.
    pub(crate) fn unresolved(&self) -> Option<Self> {
        let values = Arc::clone(self.unresolved.as_ref()?);
        Some(Self {
            values,
            ..self.without_errors()
        })
    }

    /// Whether the value of `name`, or a part of it, is a reference to where it is kept.
    pub(super) fn contains_reference(&self, name: &str) -> bool {
        self.value(name).is_some_and(contains_reference)
    }

    /// For development and tests in one process: only here are the embedded default secrets
    /// allowed, and only here may this process's own memory replace the state that instances
    /// share.
    #[must_use]
    pub fn local_development(mut self) -> Self {
        self.local = true;
        self
    }

    /// Signs AWS's requests with these credentials in place of those of the variables.
    #[must_use]
    pub fn with_credentials(mut self, credentials: AwsCredentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The credentials that stand in for those of the variables, if any do.
    pub(super) fn credentials(&self) -> Option<AwsCredentials> {
        self.credentials.clone()
    }

    /// Records from now on which variables are read, so that a test can tell which function reads
    /// which.
    #[must_use]
    pub fn record_reads(mut self) -> (Self, Reads) {
        let reads = self.reads.get_or_insert_default().clone();
        (self, reads)
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

    /// The value of `name`, if set. Code of the backend reads variables through
    /// [`Setting`](super::Setting), where each is documented.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        if let Some(reads) = &self.reads {
            reads.record(name);
        }
        self.value(name)
    }

    /// The value of `name`, without recording that it was read.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(ExposeSecret::expose_secret)
    }

    /// The names of all variables that are set.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Records that `name` can't be used. `what` must not hold the value.
    pub fn add_error(&self, name: &'static str, what: impl Into<String>) {
        let error = ConfigError {
            name,
            what: what.into(),
        };
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// Whether all that was read so far can be used.
    ///
    /// # Errors
    /// All config errors, in the order in which they were found.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        // Taken for a value, a reference would be a key that anyone can read in the template.
        for name in SECRET_SETTINGS
            .into_iter()
            .filter(|name| self.contains_reference(name))
        {
            self.add_error(name, "is a reference to where its value is kept, which only a function on Lambda can resolve");
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ConfigErrors(errors.clone()))
        }
    }
}
