//! All-or-nothing writes. A token makes the repetition of a transaction whose answer was lost a
//! success without a second application (DynamoDB keeps it for ten minutes).

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{CancellationReason, Delete, TransactWriteItem, Update};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ports::{PortError, Write, WrittenAll};

use super::conflict::settled;
use super::item::{self, WriteId, next_floor};
use super::{Documents, PORT, call, key_attributes};
use crate::errors::Call;
use crate::keys::spell;

const TRANSACT: Call = call("TransactWriteItems");
const CONDITION_FAILED: &str = "ConditionalCheckFailed";

impl Documents {
    pub(super) async fn write_together(&self, writes: &[Write]) -> Result<WrittenAll, PortError> {
        let id = WriteId::new();
        let items: Vec<TransactWriteItem> =
            writes.iter().map(|write| self.action(write, id)).collect::<Result<_, _>>()?;
        settled(|| self.transact(&items, id)).await
    }

    async fn transact(&self, items: &[TransactWriteItem], id: WriteId) -> Result<WrittenAll, PortError> {
        let request = self.client.transact_write_items().client_request_token(id.token());
        match request.set_transact_items(Some(items.to_vec())).send().await {
            Ok(_) => Ok(WrittenAll::Done),
            Err(error) => self.cancelled(&error),
        }
    }

    fn action(&self, write: &Write, id: WriteId) -> Result<TransactWriteItem, PortError> {
        let malformed = |error| PortError::permanent(PORT, error);
        let spelled = spell(write.key());
        let table = self.table(spelled.place)?;
        let key = Some(key_attributes(&spelled));
        let (Write::Put { condition, .. } | Write::Delete { condition, .. }) = write;
        let condition = item::condition(*condition, self.now());
        let text = condition.as_ref().map(|condition| condition.text.clone());
        let holds = condition.map(|condition| condition.values);
        let builder = TransactWriteItem::builder();
        match write {
            Write::Put { value, expires_at, .. } => {
                let floor = next_floor(&self.last_floor, self.now());
                let update = item::update(value, *expires_at, id, floor);
                let mut values = update.values;
                values.extend(holds.unwrap_or_default());
                let update = Update::builder()
                    .table_name(table)
                    .set_key(key)
                    .update_expression(update.text)
                    .set_condition_expression(text)
                    .expression_attribute_names("#exp", "exp")
                    .set_expression_attribute_values(Some(values))
                    .return_values_on_condition_check_failure(AllOld);
                Ok(builder.update(update.build().map_err(malformed)?).build())
            }
            Write::Delete { .. } => {
                let delete = Delete::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_condition_expression(text)
                    .set_expression_attribute_values(holds)
                    .return_values_on_condition_check_failure(AllOld);
                Ok(builder.delete(delete.build().map_err(malformed)?).build())
            }
        }
    }

    fn cancelled(&self, error: &SdkError<TransactWriteItemsError, HttpResponse>) -> Result<WrittenAll, PortError> {
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                self.judge(cancelled.cancellation_reasons())
            }
            _ => Err(TRANSACT.error(error)),
        }
    }

    /// Reasons stand in the order of the writes. A failed condition is the answer; without one, the
    /// first reason of another kind is the error.
    fn judge(&self, reasons: &[CancellationReason]) -> Result<WrittenAll, PortError> {
        let code = |reason: &CancellationReason| reason.code().map(ToOwned::to_owned).filter(|code| code != "None");
        let failed = reasons.iter().position(|reason| reason.code() == Some(CONDITION_FAILED));
        if let Some(index) = failed {
            let stands = reasons[index].item().filter(|item| !item.is_empty()).cloned();
            let current = stands.map_or(Ok(None), |attributes| item::alive(attributes, self.now()))?;
            return Ok(WrittenAll::ConditionFailed { index, current });
        }
        let other = reasons.iter().enumerate().find_map(|(index, reason)| Some((index, code(reason)?)));
        let Some((index, code)) = other else {
            return Err(PortError::transient(PORT, format!("{TRANSACT} was cancelled without a reason")));
        };
        let mut error = TRANSACT.answered(Some(&code), 400, None, "");
        error.what.push_str(&format!("; it is write {index} of {}", reasons.len()));
        Err(error)
    }
}

#[cfg(test)]
#[path = "all_tests.rs"]
mod tests;
