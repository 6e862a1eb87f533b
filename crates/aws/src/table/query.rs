//! Stretches of a partition. Where a partition is spread over several partition keys, all are asked
//! at once and merged; a page then ends where the first of them ended.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use ports::{Item, Page, Partition, PortError};

use super::{Documents, PORT, call, item, key_attributes};
use crate::errors::Call;
use crate::keys::{Spelled, partition_keys, place, read_sort, spell_sort};

const QUERY: Call = call("Query");

/// `[from, to)`, `to` empty for the end, and greater than `after`.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    from: &'a str,
    to: &'a str,
    after: Option<&'a str>,
}

impl Documents {
    pub(super) async fn read_page(
        &self,
        partition: &Partition,
        from: &str,
        to: &str,
        after: Option<&str>,
    ) -> Result<Page, PortError> {
        // What lies before the stretch skips nothing.
        let stretch = Stretch { from, to, after: after.filter(|after| *after >= from) };
        let start = stretch.after.unwrap_or(from);
        if !to.is_empty() && start >= to {
            return Ok(Page::default());
        }
        let keys = partition_keys(partition);
        let parts: Vec<_> = keys.iter().map(|pk| self.read_part(partition, pk, stretch)).collect();
        Ok(merged(try_join_all(parts).await?))
    }

    async fn read_part(&self, partition: &Partition, pk: &str, stretch: Stretch<'_>) -> Result<Page, PortError> {
        let place = place(partition);
        let text = |text: String| AttributeValue::S(text);
        let request = self.client.query().table_name(self.table(place)?).consistent_read(true);
        let request = request.expression_attribute_values(":pk", text(pk.to_owned()));
        let request = request.expression_attribute_values(":from", text(spell_sort(stretch.from)));
        // Both ends of BETWEEN belong to it.
        let request = if stretch.to.is_empty() {
            request.key_condition_expression("pk = :pk AND sk >= :from")
        } else {
            let request = request.expression_attribute_values(":to", text(spell_sort(stretch.to)));
            request.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
        };
        let start = stretch.after.map(|after| Spelled { place, pk: pk.to_owned(), sk: spell_sort(after) });
        let request = request.set_exclusive_start_key(start.as_ref().map(key_attributes));
        let answer = request.send().await.map_err(|error| QUERY.error(&error))?;
        let next = answer.last_evaluated_key().and_then(|key| key.get("sk")?.as_s().ok()).map(|sk| {
            let broken = || PortError::permanent(PORT, format!("{pk} holds a key that Daywatch did not write"));
            read_sort(sk).map(ToOwned::to_owned).ok_or_else(broken)
        });
        let mut page = Page { items: Vec::new(), next: next.transpose()? };
        let now = self.now();
        for attributes in answer.items.unwrap_or_default() {
            page.items
                .extend(item::alive(attributes, now)?.filter(|item| item.sort != stretch.to || stretch.to.is_empty()));
        }
        Ok(page)
    }
}

/// Everything up to where the first of the unfinished parts ended; the rest is read again.
fn merged(pages: Vec<Page>) -> Page {
    let next = pages.iter().filter_map(|page| page.next.clone()).min();
    let mut items: Vec<Item> = pages.into_iter().flat_map(|page| page.items).collect();
    if let Some(end) = &next {
        items.retain(|item| item.sort <= *end);
    }
    items.sort_by(|a, b| a.sort.cmp(&b.sort));
    Page { items, next }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
