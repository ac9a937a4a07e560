//! Work that waits for its time: rows that an index has by partition (`gsi1pk`), and within it by the time
//! when they are due (`gsi1sk`, an RFC 3339 time with milliseconds, then `#` and what makes it unique).

use jiff::Timestamp;

use super::{Dynamo, DynamoError, Item, string};

/// The index.
const INDEX: &str = "gsi1";
/// Rows of the table that are read at the same time, for a page of the index.
pub(crate) const DUE_READS: usize = 16;

/// A page of rows of the index.
#[derive(Debug)]
pub(crate) struct DueRows {
    /// Keys and what else the index has. The rows themselves may have changed since.
    pub rows: Vec<Item>,
    /// Where the next page begins; none on the last one.
    pub next: Option<DuePosition>,
}

/// The last row of a page, as the index has it.
#[derive(Clone, Debug)]
pub struct DuePosition(Item);

impl Dynamo {
    /// At most `limit` rows of the partition that are due, the longest waiting first: from the first on, or
    /// those behind `after`. The index finds one a moment after it was written.
    pub(crate) async fn due(
        &self,
        partition: String,
        now: Timestamp,
        limit: u16,
        after: Option<DuePosition>,
    ) -> Result<DueRows, DynamoError> {
        // Times are compared as texts; what is due within this millisecond comes next time.
        let query = self
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :pk AND gsi1sk <= :now")
            .expression_attribute_values(":pk", string(partition))
            .expression_attribute_values(":now", string(format!("{now:.3}~")))
            .set_exclusive_start_key(after.map(|after| after.0))
            .limit(i32::from(limit));
        let page = self.page(query).await?;
        let last = page.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(DueRows {
            rows: page.items.unwrap_or_default(),
            next: last.map(DuePosition),
        })
    }
}
