//! Objects of an hour and of a day, read by ranges: the footer, which is kept, then the pages of the
//! series that are asked for and nothing else.

use std::sync::Arc;

use blocks::ManifestItem;
use blocks::parquet::{ByteRange, Fetched, Footer, LabelTest, Parsed};
use futures_util::future::try_join_all;
use ports::{TenantId, Timestamp};
use promql::{Matcher, Samples, Selection};
use series::{Labels, RollupSeries};

use super::budget::Budget;
use super::loaded::Run;
use crate::error::Fault;
use crate::{Context, manifest};

/// What is read of an object's end before it is known how long its footer is: that of some thousand
/// series.
const TAIL_BYTES: u64 = 64 * 1024;
/// Ranges that are fetched at the same time.
const RANGES_AT_ONCE_MAX: usize = 16;

/// An object, and how many bytes it has.
pub(super) struct Object {
    pub(super) place: String,
    pub(super) bytes: u64,
}

/// The objects of an item's block.
pub(super) fn objects(tenant: &TenantId, item: &ManifestItem) -> Vec<Object> {
    let parts: u64 = item.parts.iter().map(|part| part.bytes).sum();
    let bytes = std::iter::once(item.bytes.saturating_sub(parts)).chain(item.parts.iter().map(|part| part.bytes));
    manifest::blob_names(tenant, item).into_iter().zip(bytes).map(|(place, bytes)| Object { place, bytes }).collect()
}

/// The series of an object that any of the selections asks for, and the time that they ask for together.
pub(super) struct Chosen {
    footer: Arc<Footer>,
    numbers: Vec<usize>,
    from: Timestamp,
    to: Timestamp,
}

/// `None`: the object is not there.
pub(super) async fn choose(
    context: &Context,
    object: &Object,
    selections: &[Selection],
) -> Result<Option<Chosen>, Fault> {
    let Some(footer) = footer(context, object).await? else { return Ok(None) };
    let mut numbers: Vec<usize> = selections.iter().flat_map(|selection| find(&footer, &selection.matchers)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let from = selections.iter().map(|selection| selection.from).min().unwrap_or_default();
    let to = selections.iter().map(|selection| selection.to).max().unwrap_or_default();
    Ok(Some(Chosen { footer, numbers, from, to }))
}

impl Chosen {
    /// The samples. `None`: the object is not there any more. Series that were read before are not read again.
    pub(super) async fn samples(
        &self,
        context: &Context,
        object: &Object,
        budget: &Budget<'_>,
    ) -> Result<Option<Vec<(Labels, Run)>>, Fault> {
        let touching = |number: &usize| self.footer.touches(*number, self.from, self.to);
        let numbers: Vec<usize> = self.numbers.iter().copied().filter(touching).collect();
        let mut columns = context.blocks.columns(&object.place, &numbers);
        let missing = numbers.iter().zip(&columns).filter(|(_, column)| column.is_none());
        let missing: Vec<usize> = missing.map(|(number, _)| *number).collect();
        if !missing.is_empty() {
            let Some(fetched) = self.fetch(context, object, &missing, budget).await? else { return Ok(None) };
            // Whole, as they lie in the object: the next query may ask for another part.
            let read = self.footer.columns(&missing, &fetched).map_err(|error| unreadable(object, &error))?;
            let mut read = missing.into_iter().zip(read.into_iter().map(Samples::from)).collect::<Vec<_>>();
            context.blocks.keep_columns(&object.place, read.iter().cloned());
            let mut next = read.drain(..).map(|(_, samples)| samples);
            columns.iter_mut().filter(|column| column.is_none()).for_each(|column| *column = next.next());
        }
        let mut found = Vec::with_capacity(numbers.len());
        for (number, samples) in numbers.iter().zip(columns) {
            let samples = samples.unwrap_or_default();
            let first = samples.partition_point(|sample| sample.at < self.from);
            let end = samples.partition_point(|sample| sample.at <= self.to);
            if first < end {
                let labels = self.footer.labels(*number).map_err(|error| unreadable(object, &error))?;
                found.push((labels, Run::part(samples, first..end)));
            }
        }
        Ok(Some(found))
    }

    /// The rollups. `None`: the object is not there any more.
    pub(super) async fn rollups(
        &self,
        context: &Context,
        object: &Object,
        budget: &Budget<'_>,
    ) -> Result<Option<Vec<RollupSeries>>, Fault> {
        let Some(fetched) = self.fetch(context, object, &self.numbers, budget).await? else { return Ok(None) };
        let rollups = self.footer.rollups(&self.numbers, self.from, self.to, &fetched);
        rollups.map(Some).map_err(|error| unreadable(object, &error))
    }

    /// The labels of those with rows in the selected time, as far as the first and the last row of each tell.
    pub(super) fn labels(&self, object: &Object) -> Result<Vec<Labels>, Fault> {
        let mut found = Vec::new();
        for number in &self.numbers {
            let series = self.footer.series(*number).map_err(|error| unreadable(object, &error))?;
            if series.min_time <= self.to && series.max_time >= self.from {
                found.push(series.labels);
            }
        }
        Ok(found)
    }

    async fn fetch(
        &self,
        context: &Context,
        object: &Object,
        numbers: &[usize],
        budget: &Budget<'_>,
    ) -> Result<Option<Fetched>, Fault> {
        let ranges = self.footer.ranges(numbers, self.from, self.to);
        budget.bytes(ranges.iter().map(|range| range.length).sum())?;
        let mut fetched = Fetched::default();
        for some in ranges.chunks(RANGES_AT_ONCE_MAX) {
            let get = async |range: &ByteRange| {
                context.ports.blobs.get_range(&object.place, range.offset, range.length).await
            };
            for (range, bytes) in some.iter().zip(try_join_all(some.iter().map(get)).await?) {
                let Some(bytes) = bytes else { return Ok(None) };
                fetched.push(range.offset, bytes);
            }
            budget.time()?;
        }
        Ok(Some(fetched))
    }
}

fn find(footer: &Footer, matchers: &[Matcher]) -> Vec<usize> {
    let accepts: Vec<_> = matchers.iter().map(|matcher| |value: &str| matcher.matches_value(value)).collect();
    let tests: Vec<LabelTest<'_>> =
        matchers.iter().zip(&accepts).map(|(matcher, accepts)| LabelTest { name: matcher.name(), accepts }).collect();
    footer.find(&tests)
}

async fn footer(context: &Context, object: &Object) -> Result<Option<Arc<Footer>>, Fault> {
    if let Some(footer) = context.blocks.footer(&object.place) {
        return Ok(Some(footer));
    }
    let mut wanted = TAIL_BYTES.min(object.bytes);
    // The second answer is as long as the first one said.
    for _ in 0..3 {
        let offset = object.bytes.saturating_sub(wanted);
        let Some(tail) = context.ports.blobs.get_range(&object.place, offset, wanted).await? else { return Ok(None) };
        match Footer::parse(&tail, object.bytes).map_err(|error| unreadable(object, &error))? {
            Parsed::Footer(footer) => {
                let footer = Arc::new(footer);
                context.blocks.keep_footer(&object.place, footer.clone());
                return Ok(Some(footer));
            }
            Parsed::NeedMore(bytes) => wanted = bytes.min(object.bytes),
        }
    }
    Err(Fault::Internal(format!("the object {}: its footer has no end", object.place)))
}

fn unreadable(object: &Object, error: &dyn std::fmt::Display) -> Fault {
    Fault::Internal(format!("the object {}: {error}", object.place))
}
