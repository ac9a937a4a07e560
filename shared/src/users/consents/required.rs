//! What users have to agree to.

use std::sync::Arc;

use super::AgreedVersions;
use crate::{
    config::{ConsentSettings, RequiredConsent},
    ids::DocumentId,
};

/// The required version of each document. Cheap to clone.
#[derive(Clone)]
pub struct RequiredConsents(Arc<[RequiredConsent]>);

impl RequiredConsents {
    /// Those of `CONSENTS`.
    #[must_use]
    pub fn new(settings: ConsentSettings) -> Self {
        Self(settings.required.into())
    }

    /// All of them, in the order in which they are configured.
    #[must_use]
    pub fn all(&self) -> &[RequiredConsent] {
        &self.0
    }

    /// The required version of a document; none for one that is not configured.
    #[must_use]
    pub fn version(&self, document: &DocumentId) -> Option<u32> {
        let required = self.0.iter().find(|one| one.document == *document)?;
        Some(required.version)
    }

    /// Those that a user with these agreements has not agreed to. A version above the required one is
    /// one that was required before a setting was taken back, and will do.
    #[must_use]
    pub fn missing(&self, agreed: &AgreedVersions) -> Vec<RequiredConsent> {
        let is_missing = |one: &&RequiredConsent| {
            let version = agreed.version(&one.document);
            version.is_none_or(|version| version < one.version)
        };
        self.0.iter().filter(is_missing).cloned().collect()
    }

    /// The same for an answer; none where nothing is required of anybody.
    #[must_use]
    pub fn missing_if_any_required(&self, agreed: &AgreedVersions) -> Option<Vec<RequiredConsent>> {
        (!self.0.is_empty()).then(|| self.missing(agreed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    fn required(text: &str) -> RequiredConsents {
        RequiredConsents::new(ConsentSettings::read(&Env::new([("CONSENTS", text)])))
    }

    fn missing(text: &str, agreed: &AgreedVersions) -> Vec<(String, u32)> {
        let missing = required(text).missing(agreed).into_iter();
        missing
            .map(|one| (one.document.to_string(), one.version))
            .collect()
    }

    #[test]
    fn what_is_not_agreed_to_or_only_in_an_older_version_is_missing() {
        let agreed = AgreedVersions::from([("privacy".to_owned(), 3), ("ads".to_owned(), 1)]);
        let none = AgreedVersions::default();
        let (privacy, terms) = (("privacy".to_owned(), 4), ("terms".to_owned(), 2));
        assert_eq!(
            missing("privacy:4,terms:2", &none),
            [privacy.clone(), terms.clone()]
        );
        assert_eq!(missing("privacy:4,terms:2", &agreed), [privacy, terms]);
        assert_eq!(missing("privacy:3", &agreed), []);
        assert_eq!(missing("privacy:2", &agreed), []);
    }

    #[test]
    fn an_answer_says_nothing_where_nothing_is_required() {
        let none = AgreedVersions::default();
        assert!(required("").missing_if_any_required(&none).is_none());
        let agreed = AgreedVersions::from([("privacy".to_owned(), 1)]);
        let missing = required("privacy:1").missing_if_any_required(&agreed);
        assert_eq!(missing, Some(Vec::new()));
    }
}
