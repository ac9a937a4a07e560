//! Agreements as rows.

use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::{Consent, ConsentRequest, Consents};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, Update},
    ids::{DocumentId, UserId},
    users::rows::{CONSENT, user_pk},
};

/// An agreement with its number: the same version is agreed to again after a withdrawal, which is one
/// more row.
#[derive(Clone)]
pub(super) struct ConsentRow {
    pub(super) consent: Consent,
    /// From 1, counted for each version.
    pub(super) number: u32,
}

/// How the sort keys of all agreements begin.
pub(super) fn prefix() -> String {
    CONSENT.sk.to_owned()
}

/// How the sort keys of the agreements to a document begin.
pub(super) fn prefix_of(document: &DocumentId) -> String {
    format!("{}{document}#", CONSENT.sk)
}

impl ConsentRow {
    pub(super) fn new(consent: Consent, number: u32) -> Self {
        Self { consent, number }
    }

    /// Padded, so that the keys sort as the versions do.
    fn sk(&self) -> String {
        let Consent {
            document, version, ..
        } = &self.consent;
        let prefix = prefix_of(document);
        format!("{prefix}{version:07}#{:04}", self.number)
    }

    pub(super) fn key(&self, user: UserId) -> Item {
        dynamo::key(&user_pk(user), &self.sk())
    }

    pub(super) fn to_item(&self, user: UserId) -> Result<Item, DynamoError> {
        dynamo::to_item(&user_pk(user), &self.sk(), &self.consent)
    }

    fn from_item(item: Item) -> Result<Self, DynamoError> {
        let sk = item.get("sk").and_then(|sk| sk.as_s().ok());
        let number = sk.and_then(|sk| sk.rsplit('#').next()?.parse().ok());
        let number = number.unwrap_or(1);
        let consent = dynamo::from_item(item)?;
        Ok(Self { consent, number })
    }

    /// What tells it from the other rows of its document.
    pub(super) fn id(&self) -> (u32, u32) {
        (self.consent.version, self.number)
    }

    /// When it was agreed to; of the same instant, in the order of the numbers.
    pub(super) fn time(&self) -> (Timestamp, u32) {
        (self.consent.agreed_at, self.number)
    }

    /// The update that notes the withdrawal.
    pub(super) fn withdraw(&self, by: &ConsentRequest<'_>, now: Timestamp) -> Update {
        let condition =
            Condition::new("attribute_exists(pk) AND attribute_not_exists(withdrawnAt)");
        let expression = "SET withdrawnAt = :now, withdrawnAppId = :app";
        Update::new(self.key(by.user), expression, condition)
            .value(":now", dynamo::string(now.to_string()))
            .value(":app", dynamo::string(by.app_id.as_str()))
    }
}

impl Consents {
    /// The user's agreements whose sort keys begin like this: at most [`KEPT`] for each document.
    ///
    /// [`KEPT`]: super::KEPT
    pub(super) async fn rows(
        &self,
        user: UserId,
        prefix: String,
    ) -> Result<Vec<ConsentRow>, DynamoError> {
        let query = self
            .dynamo
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", dynamo::string(user_pk(user)))
            .expression_attribute_values(":sk", dynamo::string(prefix));
        let rows = self.dynamo.rows(query);
        rows.and_then(async |item| ConsentRow::from_item(item))
            .try_collect()
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u32) -> ConsentRow {
        let consent = Consent {
            document: "privacy".parse().unwrap(),
            version: 12,
            agreed_at: "2026-11-23T01:02:03Z".parse().unwrap(),
            app_id: "wx1".parse().unwrap(),
            withdrawn_at: None,
            withdrawn_app_id: None,
        };
        ConsentRow::new(consent, number)
    }

    #[test]
    fn the_row_is_as_documented() {
        let user: UserId = "0193c0de-0000-7000-8000-000000000001".parse().unwrap();
        let item = row(2).to_item(user).unwrap();
        assert_eq!(item["sk"], dynamo::string("CONSENT#privacy#0000012#0002"));
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        let wanted = ["agreedAt", "appId", "document", "pk", "sk", "version"];
        assert_eq!(names, wanted);
        let read = ConsentRow::from_item(item).unwrap();
        assert_eq!((read.consent, read.number), (row(2).consent, 2));
    }

    #[test]
    fn a_document_whose_name_begins_another_ones_has_its_own_prefix() {
        let terms: DocumentId = "terms".parse().unwrap();
        let longer: DocumentId = "terms-2".parse().unwrap();
        assert!(!prefix_of(&longer).starts_with(&prefix_of(&terms)));
    }
}
