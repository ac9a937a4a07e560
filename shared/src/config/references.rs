//! Secrets that are kept elsewhere: a setting names the place, `ssm:/name` or `secretsmanager:name`.

mod extension;

use std::{sync::Arc, time::Duration};

use futures_util::future::{join_all, try_join_all};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use self::extension::{Extension, FetchError};
use super::{
    ConfigError, ConfigErrors, Env,
    reference::{Reference, SECRET_SETTINGS, parts},
};

/// How long to wait for values that are kept elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct FetchTimeouts {
    /// For the extension to serve, which starts beside this process.
    pub readiness: Duration,
    /// For everything together.
    pub total: Duration,
}

/// Why there are no settings yet.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The extension does not serve yet.
    #[error("{0}")]
    NotReady(ConfigErrors),
    /// A place that does not exist, or may not be read, or whose service fails.
    #[error("{0}")]
    Failed(ConfigErrors),
}

impl ResolveError {
    /// A config error for each setting without a value.
    #[must_use]
    pub fn into_config_errors(self) -> ConfigErrors {
        match self {
            Self::NotReady(errors) | Self::Failed(errors) => errors,
        }
    }
}

/// Settings as they were given, to be resolved to their values: at start, and again when keys may
/// have changed. Cheap to clone.
#[derive(Clone)]
pub struct References {
    given: Arc<Env>,
    extension: Extension,
}

impl References {
    /// `None` where every value stands in the environment itself: nothing is built then.
    #[must_use]
    pub fn of(env: &Env) -> Option<Self> {
        let any = SECRET_SETTINGS
            .iter()
            .any(|name| env.contains_reference(name));
        any.then(|| Self {
            given: Arc::new(env.without_errors()),
            extension: Extension::new(env),
        })
    }

    /// Whether the value of one of `names` is kept elsewhere.
    #[must_use]
    pub fn covers(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.given.contains_reference(name))
    }

    /// The settings without those whose value is kept elsewhere.
    #[must_use]
    pub fn without_secrets(&self) -> Env {
        let mut env = self.given.without_errors();
        SECRET_SETTINGS
            .into_iter()
            .filter(|name| self.given.contains_reference(name))
            .for_each(|name| env.remove(name));
        env
    }

    /// The settings with the values of today, all fetched at the same time.
    ///
    /// # Errors
    /// [`ResolveError`], with a config error for each setting whose value could not be fetched.
    pub async fn resolve(&self, timeouts: FetchTimeouts) -> Result<Env, ResolveError> {
        let names = SECRET_SETTINGS
            .into_iter()
            .filter(|name| self.given.contains_reference(name));
        let fetched =
            join_all(names.map(|name| async move { (name, self.value(name, timeouts).await) }))
                .await;
        let (mut env, mut errors, mut not_ready) = (self.given.without_errors(), Vec::new(), false);
        for (name, value) in fetched {
            match value {
                Ok(value) => env.set(name, value),
                Err((part, error)) => {
                    not_ready |= error == FetchError::NotReady;
                    errors.push(ConfigError {
                        name,
                        what: format!("part {part} could not be fetched: {error}"),
                    });
                }
            }
        }
        match errors.is_empty() {
            true => Ok(env.resolved_from(&self.given)),
            false if not_ready => Err(ResolveError::NotReady(ConfigErrors(errors))),
            false => Err(ResolveError::Failed(ConfigErrors(errors))),
        }
    }

    /// The value of one setting; on failure, which part of it failed.
    async fn value(
        &self,
        name: &str,
        timeouts: FetchTimeouts,
    ) -> Result<SecretString, (usize, FetchError)> {
        let fetch = |(index, part)| async move {
            match Reference::parse(part) {
                Some(reference) => self
                    .extension
                    .get(&reference, timeouts)
                    .await
                    .map_err(|error| (index + 1, error)),
                None => Ok(SecretString::from(part)),
            }
        };
        let values = try_join_all(
            parts(self.given.value(name).unwrap_or_default())
                .enumerate()
                .map(fetch),
        )
        .await?;
        let values: Vec<&str> = values
            .iter()
            .map(|value| value.expose_secret().trim())
            .collect();
        Ok(values.join(",").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_a_reference_build_nothing() {
        assert!(
            References::of(&Env::new([
                ("JWT_SECRETS", "a,b"),
                ("REDIS_URL", "redis://h")
            ]))
            .is_none()
        );
        // Only settings that are secrets are resolved.
        assert!(References::of(&Env::new([("TABLE_NAME", "ssm:/table")])).is_none());
        assert!(References::of(&Env::new([("JWT_SECRETS", "a, ssm:/b")])).is_some());
    }

    #[test]
    fn an_unresolved_reference_is_rejected() {
        let env = Env::new([(
            "JWT_SECRETS",
            "ssm:/weapp/a-name-of-more-than-32-bytes-and-no-secret",
        )]);
        let errors = env.validate().unwrap_err();
        assert_eq!(errors.0[0].name, "JWT_SECRETS");
        assert!(!errors.to_string().contains("/weapp"), "{errors}");
    }
}
