//! The mini-programs that this WeChat knows.

use crate::errcode::{self, Refusal};

/// An appid and its secret.
struct App {
    id: String,
    secret: String,
}

/// All mini-programs, in the order in which they were given.
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

    /// The app of that id, or the first when none is named.
    pub(crate) fn find(&self, id: Option<&str>) -> Option<&str> {
        let app = match id {
            Some(id) => self.0.iter().find(|app| app.id == id),
            None => self.0.first(),
        };
        app.map(|app| app.id.as_str())
    }

    /// What every call with appid and secret passes first.
    pub(crate) fn authenticate(&self, id: &str, secret: &str) -> Result<(), Refusal> {
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
