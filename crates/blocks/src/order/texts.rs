//! The texts of an order's labels, numbered.

use series::Labels;

use crate::index::Strings;

/// The label by which agents name themselves.
const SOURCE_LABEL: &[u8] = b"source";
/// Of a series that has no such label.
const NO_TEXT: u32 = u32::MAX;

/// Names and values of label sets by number, and the numbers of each set.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    all: Vec<Box<[u8]>>,
    /// Of all sets, one after the other: names and values in turn.
    numbers: Vec<u32>,
    /// Where each set's numbers end.
    ends: Vec<u32>,
    /// The value of each set's label `source`.
    sources: Vec<u32>,
}

impl Texts {
    pub(super) fn read(sorted: &[Labels]) -> Self {
        let mut read = Self::default();
        read.ends.reserve_exact(sorted.len());
        read.sources.reserve_exact(sorted.len());
        let mut strings = Strings::default();
        let mut before: Vec<(&[u8], u32)> = Vec::new();
        let mut now: Vec<(&[u8], u32)> = Vec::new();
        for labels in sorted {
            for (at, text) in labels.texts().enumerate() {
                let index = match before.get(at) {
                    Some((same, index)) if *same == text => *index,
                    other => strings.index(text, other.map(|(_, index)| *index)),
                };
                now.push((text, index));
            }
            let source = now.as_chunks::<2>().0.iter().find(|[(name, _), _]| *name == SOURCE_LABEL);
            read.sources.push(source.map_or(NO_TEXT, |[_, (_, value)]| *value));
            read.numbers.extend(now.iter().map(|(_, number)| *number));
            read.ends.push(read.numbers.len() as u32);
            std::mem::swap(&mut before, &mut now);
            now.clear();
        }
        read.numbers.shrink_to_fit();
        read.all = strings.into_all().into_iter().map(Into::into).collect();
        read
    }

    /// How many texts there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// A text by its number.
    pub(crate) fn text(&self, number: u32) -> &[u8] {
        self.all.get(number as usize).map_or(&[], |text| text)
    }

    /// The numbers of a set's names and values, in turn.
    #[inline]
    pub(crate) fn of(&self, rank: usize) -> &[u32] {
        let end = |rank: usize| self.ends.get(rank).map_or(0, |end| *end as usize);
        let start = rank.checked_sub(1).map_or(0, end);
        self.numbers.get(start..end(rank)).unwrap_or_default()
    }

    /// The number of the value of a set's label `source`.
    pub(crate) fn source(&self, rank: usize) -> Option<u32> {
        self.sources.get(rank).copied().filter(|number| *number != NO_TEXT)
    }
}
