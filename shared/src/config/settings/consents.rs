//! The documents that users agree to.

use serde::Serialize;

use crate::{
    config::{Env, List},
    ids::DocumentId,
    settings,
};

/// How many documents there may be: the user's row holds a version for each.
const MAX_DOCUMENTS: usize = 8;
/// The highest version. The rows' keys have as many digits.
const MAX_VERSION: u32 = 1_000_000;

settings! {
    /// The settings of consents.
    pub DOCUMENTED in Accounts;

    CONSENTS: List = List::optional("document:version, separated by commas"),
        "the documents that users agree to, each with the version that is required now, from 1 to 1000000; at most 8",
        "用户须同意的文档及当前要求的版本（1 至 1000000），最多 8 份",
        wanted_zh("`文档:版本`，逗号分隔"),
        unset("not set: none", "未设置：无"), example("privacy:3,terms:2");
}

/// A document, and the version of it that users have to agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RequiredConsent {
    /// The document.
    pub document: DocumentId,
    /// From 1 to a million.
    pub version: u32,
}

/// The documents that users agree to.
pub struct ConsentSettings {
    /// `CONSENTS`: the required version of each document, in the order in which they are configured.
    pub required: Vec<RequiredConsent>,
}

impl ConsentSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut required = Vec::<RequiredConsent>::new();
        for (index, text) in CONSENTS.entries(env).enumerate() {
            match parse(text) {
                Ok(consent) if required.iter().any(|one| one.document == consent.document) => {
                    CONSENTS.add_entry_error(env, index, "names a document for the second time");
                }
                Ok(consent) => required.push(consent),
                Err(what) => CONSENTS.add_entry_error(env, index, what),
            }
        }
        if required.len() > MAX_DOCUMENTS {
            CONSENTS.add_error(env, format!("has more than {MAX_DOCUMENTS} documents"));
        }
        Self { required }
    }
}

fn parse(text: &str) -> Result<RequiredConsent, &'static str> {
    let (document, version) = text
        .split_once(':')
        .ok_or("is not document:version, such as privacy:3")?;
    let document = document
        .parse()
        .map_err(|_| "has a document that is not a lower-case letter followed by at most 31 lower-case letters, digits, _ or -")?;
    // `parse` would take a sign.
    let digits = Some(version).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let version = digits
        .and_then(|digits| digits.parse().ok())
        .filter(|version| (1..=MAX_VERSION).contains(version))
        .ok_or("has a version that is not a whole number from 1 to 1000000")?;
    Ok(RequiredConsent { document, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents with their versions, or the errors.
    fn read(text: &str) -> Result<Vec<(String, u32)>, String> {
        let env = Env::new([("CONSENTS", text)]);
        let required = ConsentSettings::read(&env).required.into_iter();
        match env.validate() {
            Ok(()) => Ok(required
                .map(|one| (one.document.to_string(), one.version))
                .collect()),
            Err(errors) => Err(errors.to_string()),
        }
    }

    #[test]
    fn documents_are_listed_with_their_versions() {
        let both = vec![("privacy".to_owned(), 3), ("terms".to_owned(), 1_000_000)];
        assert_eq!(read("privacy:3, terms:1000000"), Ok(both));
        assert_eq!(read(""), Ok(Vec::new()));
        let eight: Vec<_> = (0..8).map(|number| format!("d{number}:1")).collect();
        assert_eq!(read(&eight.join(",")).map(|all| all.len()), Ok(8));
    }

    #[test]
    fn each_wrong_entry_is_named() {
        let document = "has a document that is not a lower-case letter followed by at most 31 lower-case letters, digits, _ or -";
        let version = "has a version that is not a whole number from 1 to 1000000";
        for (text, what) in [
            ("privacy", "is not document:version, such as privacy:3"),
            ("Privacy:1", document),
            (":1", document),
            ("privacy:", version),
            ("privacy:0", version),
            ("privacy:-1", version),
            ("privacy:+1", version),
            ("privacy:1.0", version),
            ("privacy:1000001", version),
            ("privacy:1:2", version),
            ("terms:2", "names a document for the second time"),
        ] {
            let wanted = format!("CONSENTS: entry 2 {what}");
            assert_eq!(read(&format!("terms:1,{text}")), Err(wanted), "{text}");
        }
        let nine: Vec<_> = (0..9).map(|number| format!("d{number}:1")).collect();
        let wanted = "CONSENTS: has more than 8 documents".to_owned();
        assert_eq!(read(&nine.join(",")), Err(wanted));
    }

    #[test]
    fn all_wrong_entries_are_reported_at_once() {
        let errors = read("x,privacy:0,Terms:1").unwrap_err();
        assert_eq!(errors.split("; ").count(), 3, "{errors}");
    }
}
