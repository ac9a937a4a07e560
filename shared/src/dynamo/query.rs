//! Queries of the table.

use aws_sdk_dynamodb::operation::query::{
    Query, QueryInput, QueryOutput, builders::QueryInputBuilder,
};
use futures_util::{Stream, TryStreamExt, stream};

use super::{Dynamo, DynamoError, Item};

impl Dynamo {
    /// A query of the table as of now (consistent read), to be completed and given to [`page`] or
    /// `rows`.
    ///
    /// [`page`]: Self::page
    #[must_use]
    pub fn query(&self) -> QueryInputBuilder {
        QueryInput::builder()
            .table_name(&self.table)
            .consistent_read(true)
    }

    /// One page of a query's rows.
    ///
    /// # Errors
    /// [`DynamoError`].
    pub async fn page(&self, query: QueryInputBuilder) -> Result<QueryOutput, DynamoError> {
        let query = self.sender.call::<Query>(query.build()?)?;
        Ok(query.send().await?)
    }

    /// All rows of a query, read page by page as they are taken.
    pub(crate) fn rows(
        &self,
        query: QueryInputBuilder,
    ) -> impl Stream<Item = Result<Item, DynamoError>> + use<> {
        let pages = stream::try_unfold(
            (self.clone(), Some(query)),
            async |(table, query)| -> Result<_, DynamoError> {
                let Some(query) = query else { return Ok(None) };
                let page = table.page(query.clone()).await?;
                // A page can be empty and not be the last one: a filter applies after reading.
                let last = page.last_evaluated_key.filter(|key| !key.is_empty());
                let next = last.map(|key| query.set_exclusive_start_key(Some(key)));
                let rows = page.items.unwrap_or_default();
                Ok(Some((
                    stream::iter(rows.into_iter().map(Ok)),
                    (table, next),
                )))
            },
        );
        pages.try_flatten()
    }
}
