//! Single writes. The SDK repeats a request whose answer was lost, so a write may be applied twice:
//! a put that fails on its own success finds its id in the item, and a conditional delete, which
//! leaves nothing to find, goes as a transaction whose token makes it happen once.

use ports::{Condition, Key, PortError, Write, Written, WrittenAll};

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::conflict::settled;
use super::item::{self, Expression, Stored, WriteId, next_floor};
use super::{Documents, PORT, call, key_attributes};
use crate::errors::Call;
use crate::keys::spell;

const UPDATE: Call = call("UpdateItem");
const DELETE: Call = call("DeleteItem");

/// An update and its condition, for one item.
pub(super) struct Change {
    pub(super) update: Expression,
    pub(super) condition: Option<Expression>,
    pub(super) id: WriteId,
}

impl Documents {
    pub(super) async fn write_one(&self, write: Write) -> Result<Written, PortError> {
        match &write {
            Write::Put { key, value, expires_at, condition } => {
                let change = Change {
                    id: WriteId::new(),
                    update: Expression::default(),
                    condition: item::condition(*condition, self.now()),
                };
                let floor = next_floor(&self.last_floor, self.now());
                let change = Change { update: item::update(value, *expires_at, change.id, floor), ..change };
                settled(|| self.put(key, &change)).await
            }
            Write::Delete { key, condition: Condition::Always } => settled(|| self.remove(key)).await,
            Write::Delete { .. } => match self.write_together(&[write]).await? {
                WrittenAll::Done => Ok(Written::Done(0)),
                WrittenAll::ConditionFailed { current, .. } => Ok(Written::ConditionFailed(current)),
            },
        }
    }

    async fn put(&self, key: &Key, change: &Change) -> Result<Written, PortError> {
        let spelled = spell(key);
        let mut values = change.update.values.clone();
        let mut request = self
            .client
            .update_item()
            .table_name(self.table(spelled.place)?)
            .set_key(Some(key_attributes(&spelled)))
            .update_expression(&change.update.text)
            .expression_attribute_names("#exp", "exp")
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(AllOld);
        if let Some(condition) = &change.condition {
            request = request.condition_expression(&condition.text);
            values.extend(condition.values.clone());
        }
        match request.set_expression_attribute_values(Some(values)).send().await {
            Ok(answer) => {
                let version = answer.attributes().and_then(|attributes| attributes.get("ver"));
                version_of(version).map(Written::Done)
            }
            Err(error) => {
                let failed = error.as_service_error().and_then(|error| match error {
                    aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                        failed,
                    ) => Some(failed.item().cloned()),
                    _ => None,
                });
                match failed {
                    Some(current) => self.refused(current, change.id),
                    None => Err(UPDATE.error(&error)),
                }
            }
        }
    }

    /// A condition did not hold: because of an earlier try of the same write, or of somebody else's.
    fn refused(&self, current: Option<item::Attributes>, id: WriteId) -> Result<Written, PortError> {
        let Some(current) = current.filter(|current| !current.is_empty()) else {
            return Ok(Written::ConditionFailed(None));
        };
        let stored = Stored::read(current)?;
        if stored.written_by == Some(id) {
            return Ok(Written::Done(stored.item.version));
        }
        Ok(Written::ConditionFailed(stored.alive(self.now())))
    }

    async fn remove(&self, key: &Key) -> Result<Written, PortError> {
        let spelled = spell(key);
        let request = self.client.delete_item().table_name(self.table(spelled.place)?);
        let request = request.set_key(Some(key_attributes(&spelled)));
        request.send().await.map(|_| Written::Done(0)).map_err(|error| DELETE.error(&error))
    }
}

fn version_of(version: Option<&AttributeValue>) -> Result<u64, PortError> {
    let number = version.and_then(|version| version.as_n().ok()).and_then(|number| number.parse().ok());
    number.ok_or_else(|| PortError::transient(PORT, format!("{UPDATE} did not answer the new version")))
}
