//! Two accounts that are merged.

use super::Bar;
use crate::{ids::UserId, saga::SagaId};

/// Two accounts, both barred by the saga that merges the one into the other.
#[derive(Clone, Copy)]
pub struct MergePair<'a> {
    /// The saga.
    pub saga: &'a SagaId,
    /// The account that ends.
    pub from: UserId,
    /// The account that survives.
    pub into: UserId,
}

impl<'a> MergePair<'a> {
    /// The bar of the account that ends.
    #[must_use]
    pub fn from_bar(self) -> Bar<'a> {
        self.bar(self.from)
    }

    /// The bar of the account that survives.
    #[must_use]
    pub fn into_bar(self) -> Bar<'a> {
        self.bar(self.into)
    }

    fn bar(self, user: UserId) -> Bar<'a> {
        Bar {
            user,
            by: self.saga,
            or_unnamed: false,
        }
    }
}
