//! A batch's columns as they were written, for whoever passes them on: an agent writes each column in the very
//! bytes in which a block holds it, so that nothing is gained by decoding it in between.

use std::sync::Arc;

use bytes::Bytes;
use series::{Labels, Timestamp};

use super::parts::Parts;
use super::series_v1::{Read, read_series};
use crate::batch::SeriesColumn;
use crate::columns::{decode_samples, is_shortest};
use crate::dictionary::Dictionaries;
use crate::rejections::Rejections;

/// The columns of a batch of which every series is good, every column in the bytes that [`crate::columns`] writes, and
/// all samples of a column are in the order of time, each time once. None is empty.
#[derive(Debug)]
pub struct Written {
    plain: Bytes,
    labels: Arc<[Labels]>,
    times: Vec<Vec<Timestamp>>,
    /// In the order of the labels.
    places: Vec<Place>,
    span: (Timestamp, Timestamp),
}

/// A series' times, and where its values lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    times: u32,
    start: u32,
    end: u32,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct WrittenColumn<'a> {
    /// The series.
    pub labels: &'a Labels,
    /// The samples' times.
    pub times: &'a [Timestamp],
    /// The value column.
    pub values: &'a [u8],
}

impl Written {
    /// `None`: read it like any other batch.
    pub(super) fn of(plain: &Bytes, parts: &Parts<'_>, dictionaries: Option<&Dictionaries>) -> Option<Self> {
        let (mut rejections, mut whole) = (Rejections::default(), true);
        let mut places = Vec::with_capacity(parts.series.len());
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let read = read_series(parts, dictionaries, &mut rejections, |_, times, values| {
            whole = whole && is_shortest(values, times.at.len());
            let start = values.as_ptr().addr().wrapping_sub(plain.as_ptr().addr());
            let end = start.wrapping_add(values.len());
            whole = whole && plain.get(start..end).is_some();
            places.push(Place { times: times.index, start: start as u32, end: end as u32 });
            if let Some((first, last)) = times.span {
                span = Some(span.map_or((first, last), |(min, max)| (first.min(min), last.max(max))));
            }
            Ok(())
        });
        let Read { labels, times } = read.ok()?;
        let (labels, span) = (labels?, span?);
        let in_order = |times: &Vec<Timestamp>| !times.is_empty() && times.is_sorted_by(|a, b| a < b);
        let times: Vec<Vec<Timestamp>> = times.into_iter().map(|times| times.at).collect();
        let whole = whole && rejections.into_vec().is_empty() && places.len() == labels.len();
        (whole && times.iter().all(in_order)).then(|| Self { plain: plain.clone(), labels, times, places, span })
    }

    /// Its columns, in the batch's order.
    pub fn columns(&self) -> impl Iterator<Item = WrittenColumn<'_>> {
        self.labels.iter().zip(&self.places).filter_map(|(labels, place)| {
            let times = self.times.get(place.times as usize)?;
            Some(WrittenColumn { labels, times, values: self.plain.get(place.start as usize..place.end as usize)? })
        })
    }

    /// Times of the earliest and the latest sample.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        self.span
    }

    /// Its columns, decoded.
    #[must_use]
    pub fn decode(&self) -> Vec<SeriesColumn> {
        // Each was read once when it was taken as written, so that it can be read.
        let decoded = self.columns().filter_map(|WrittenColumn { labels, times, values }| {
            Some(SeriesColumn { labels: labels.clone(), samples: decode_samples(values, times).ok()? })
        });
        decoded.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Batch;
    use crate::dictionary::DICTIONARY_BYTES_MAX;
    use crate::testing::{any_batch, column, full_batch};

    fn written(batch: &Batch) -> Option<Written> {
        let memory = Dictionaries::new(7, DICTIONARY_BYTES_MAX);
        let bytes = batch.encode();
        let (decoded, written) = Batch::decode_written(&bytes, &mut |_| None, &memory).unwrap();
        let expected = Batch::decode(&bytes).unwrap();
        let series = written.as_ref().map_or_else(|| decoded.batch.series.clone(), Written::decode);
        let bits = |series: &[SeriesColumn]| format!("{series:?}");
        assert_eq!(bits(&series), bits(&expected.batch.series));
        assert_eq!(decoded.rejected, expected.rejected);
        assert_eq!(decoded.batch.checks, expected.batch.checks);
        written
    }

    #[test]
    fn what_an_agent_sends_is_taken_as_written() {
        let series = vec![column("a", &[(1, 1.5), (2, 2.5)]), column("b", &[(1, 1.0), (2, f64::NAN)])];
        let batch = Batch { series, ..full_batch() };
        let found = written(&batch).unwrap();
        assert_eq!((found.span(), found.columns().count()), ((Timestamp(1), Timestamp(2)), 2));
    }

    #[test]
    fn what_is_not_as_a_block_has_it_is_decoded() {
        for samples in [&[][..], &[(2, 1.0), (1, 1.0)], &[(1, 1.0), (1, 2.0)]] {
            let batch = Batch { series: vec![column("a", &[(1, 1.0)]), column("b", samples)], ..full_batch() };
            assert!(written(&batch).is_none(), "{samples:?}");
        }
        assert!(written(&Batch { series: Vec::new(), ..full_batch() }).is_none());
    }

    proptest! {
        #[test]
        fn as_written_or_decoded_it_is_the_same_batch(batch in any_batch()) {
            let _ = written(&batch);
        }
    }
}
