//! Conditional writes of one row: alone ([`Dynamo::put`], [`Dynamo::update`], [`Dynamo::delete`]) or
//! in a transaction ([`Dynamo::transact`]).
//!
//! A write of one row that meets a transaction on it has changed nothing and can be sent again as it
//! is: its condition is evaluated anew. So these writes wait for transactions by themselves.
//!
//! Expressions are in DynamoDB's syntax: `:name` is the placeholder of a value, `#name` that of an
//! attribute whose name is a reserved word.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::{
        delete_item::{DeleteItem, DeleteItemError, DeleteItemInput},
        put_item::{PutItem, PutItemError, PutItemInput},
        update_item::{UpdateItem, UpdateItemError, UpdateItemInput},
    },
    types::{self, AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Dynamo, DynamoError, Item,
    condition::{Condition, Names, Values},
    failure::Failure,
};

/// A change of some attributes of a row.
#[derive(Clone)]
pub struct Update {
    key: Item,
    expression: String,
    condition: String,
    /// Of both expressions.
    values: Values,
    names: Names,
    return_new: bool,
    return_old_on_failure: bool,
}

impl Update {
    /// Applies the update expression (`SET …`, `REMOVE …`, `ADD …`, `DELETE …`) to the row under
    /// `key` if `condition` holds.
    #[must_use]
    pub fn new(key: Item, expression: impl Into<String>, condition: Condition) -> Self {
        Self {
            key,
            expression: expression.into(),
            condition: condition.expression,
            values: condition.values,
            names: condition.names,
            return_new: false,
            return_old_on_failure: false,
        }
    }

    /// Sets the value of `placeholder` (`:name`), in both expressions.
    #[must_use]
    pub fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Sets the attribute name of `placeholder` (`#name`), in both expressions.
    #[must_use]
    pub fn name(mut self, placeholder: &str, attribute: &str) -> Self {
        self.names
            .insert(placeholder.to_owned(), attribute.to_owned());
        self
    }

    /// Asks for the row as it is after the update. Not in a transaction, which returns no rows.
    #[must_use]
    pub fn returning_new(mut self) -> Self {
        self.return_new = true;
        self
    }

    /// Asks for the row as it is when the condition does not hold. Not in a transaction.
    #[must_use]
    pub fn returning_old_on_failure(mut self) -> Self {
        self.return_old_on_failure = true;
        self
    }
}

/// How a write under a condition ended, where it got an answer.
#[derive(PartialEq)]
pub enum WriteOutcome {
    /// It was carried out. The row as it is now where that was asked for, else nothing.
    Written(Item),
    /// The condition did not hold, and nothing was written. The row as it is where that was asked
    /// for and there is one.
    ConditionFailed(Option<Item>),
}

impl Dynamo {
    /// Writes the whole row if `condition` holds.
    ///
    /// # Errors
    /// [`DynamoError`].
    pub async fn put(&self, row: Item, condition: Condition) -> Result<WriteOutcome, DynamoError> {
        let put = PutItemInput::builder()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression(condition.expression)
            .set_expression_attribute_values(unless_empty(condition.values))
            .set_expression_attribute_names(unless_empty(condition.names));
        let put = self.sender.call::<PutItem>(put.build()?)?;
        let attempt = || async {
            match put.send().await {
                Ok(_) => Ok(WriteOutcome::Written(Item::new())),
                Err(Failure::Service { error, .. })
                    if matches!(*error, PutItemError::ConditionalCheckFailedException(_)) =>
                {
                    Ok(WriteOutcome::ConditionFailed(None))
                }
                Err(failure) => Err(failure.into()),
            }
        };
        self.retry_conflicts(attempt, is_conflict).await
    }

    /// Deletes a row if `condition` holds.
    ///
    /// # Errors
    /// [`DynamoError`].
    pub async fn delete(
        &self,
        key: Item,
        condition: Condition,
    ) -> Result<WriteOutcome, DynamoError> {
        let delete = DeleteItemInput::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .condition_expression(condition.expression)
            .set_expression_attribute_values(unless_empty(condition.values))
            .set_expression_attribute_names(unless_empty(condition.names));
        let delete = self.sender.call::<DeleteItem>(delete.build()?)?;
        let attempt = || async {
            match delete.send().await {
                Ok(_) => Ok(WriteOutcome::Written(Item::new())),
                Err(Failure::Service { error, .. })
                    if matches!(*error, DeleteItemError::ConditionalCheckFailedException(_)) =>
                {
                    Ok(WriteOutcome::ConditionFailed(None))
                }
                Err(failure) => Err(failure.into()),
            }
        };
        self.retry_conflicts(attempt, is_conflict).await
    }

    /// Changes a row if the update's condition holds.
    ///
    /// # Errors
    /// [`DynamoError`].
    pub async fn update(&self, update: Update) -> Result<WriteOutcome, DynamoError> {
        let update = self
            .sender
            .call::<UpdateItem>(update.into_input(&self.table)?)?;
        let attempt = || async {
            match update.send().await {
                Ok(written) => Ok(WriteOutcome::Written(
                    written.attributes.unwrap_or_default(),
                )),
                Err(Failure::Service { error, status }) => match *error {
                    UpdateItemError::ConditionalCheckFailedException(failed) => {
                        Ok(WriteOutcome::ConditionFailed(failed.item))
                    }
                    error => Err(Failure::Service {
                        error: Box::new(error),
                        status,
                    }
                    .into()),
                },
                Err(failure) => Err(failure.into()),
            }
        };
        self.retry_conflicts(attempt, is_conflict).await
    }
}

fn is_conflict(error: &DynamoError) -> bool {
    matches!(error, DynamoError::Conflict)
}

/// One of the writes of a transaction.
#[derive(Clone)]
pub enum Write {
    /// The whole row, if the condition holds.
    Put(Item, Condition),
    /// Some attributes.
    Update(Update),
    /// The row under this key goes, if the condition holds.
    Delete(Item, Condition),
    /// Nothing is written to the row under this key, but the condition has to hold there.
    Check(Item, Condition),
}

impl Write {
    pub(super) fn into_item(self, table: &str) -> Result<types::TransactWriteItem, DynamoError> {
        let item = types::TransactWriteItem::builder();
        let item = match self {
            Self::Put(row, condition) => item.put(
                types::Put::builder()
                    .table_name(table)
                    .set_item(Some(row))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(unless_empty(condition.values))
                    .set_expression_attribute_names(unless_empty(condition.names))
                    .build()?,
            ),
            Self::Update(update) => item.update(update.into_part(table)?),
            Self::Delete(key, condition) => item.delete(
                types::Delete::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(unless_empty(condition.values))
                    .set_expression_attribute_names(unless_empty(condition.names))
                    .build()?,
            ),
            Self::Check(key, condition) => item.condition_check(
                types::ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(unless_empty(condition.values))
                    .set_expression_attribute_names(unless_empty(condition.names))
                    .build()?,
            ),
        };
        Ok(item.build())
    }
}

impl Update {
    fn into_input(self, table: &str) -> Result<UpdateItemInput, BuildError> {
        UpdateItemInput::builder()
            .table_name(table)
            .set_key(Some(self.key))
            .update_expression(self.expression)
            .condition_expression(self.condition)
            .set_expression_attribute_values(unless_empty(self.values))
            .set_expression_attribute_names(unless_empty(self.names))
            .set_return_values(self.return_new.then_some(ReturnValue::AllNew))
            .set_return_values_on_condition_check_failure(
                self.return_old_on_failure
                    .then_some(ReturnValuesOnConditionCheckFailure::AllOld),
            )
            .build()
    }

    fn into_part(self, table: &str) -> Result<types::Update, DynamoError> {
        let update = types::Update::builder()
            .table_name(table)
            .set_key(Some(self.key))
            .update_expression(self.expression)
            .condition_expression(self.condition)
            .set_expression_attribute_values(unless_empty(self.values))
            .set_expression_attribute_names(unless_empty(self.names));
        Ok(update.build()?)
    }
}

/// DynamoDB refuses an empty map.
fn unless_empty<T>(map: HashMap<String, T>) -> Option<HashMap<String, T>> {
    (!map.is_empty()).then_some(map)
}
