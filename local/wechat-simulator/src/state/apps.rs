//! The registered mini-programs.

use crate::protocol::errcode::{self, ApiError};

/// A mini-program.
struct App {
    id: String,
    secret: String,
}

/// All mini-programs, in the order of their registration.
pub(crate) struct Apps(Vec<App>);

impl Apps {
    pub(crate) fn new(apps: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(
            apps.into_iter()
                .map(|(id, secret)| App { id, secret })
                .collect(),
        )
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.iter().map(|app| app.id.clone()).collect()
    }

    /// The id of the named app if it is registered, or of the first app when `id` is `None`.
    pub(crate) fn find(&self, id: Option<&str>) -> Option<&str> {
        let app = match id {
            Some(id) => self.0.iter().find(|app| app.id == id),
            None => self.0.first(),
        };
        app.map(|app| app.id.as_str())
    }

    /// Checks the secret of an app.
    pub(crate) fn authenticate(&self, id: &str, secret: &str) -> Result<(), ApiError> {
        let app = self
            .0
            .iter()
            .find(|app| app.id == id)
            .ok_or(errcode::INVALID_APPID)?;
        if app.secret == secret {
            Ok(())
        } else {
            Err(errcode::INVALID_APPSECRET)
        }
    }
}

/// Rejects empty credentials with the errors that WeChat has for them.
pub(crate) fn require_credentials(id: &str, secret: &str) -> Result<(), ApiError> {
    if id.is_empty() {
        return Err(errcode::APPID_MISSING);
    }
    if secret.is_empty() {
        return Err(errcode::APPSECRET_MISSING);
    }
    Ok(())
}
