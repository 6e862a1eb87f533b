//! The name of a part of a batch, where one source's batches are spread over lanes: its number stands in the upper
//! bits of the batch's own, so that every part is known by itself to whoever counts sets of numbers.
//!
//! | part | what |
//! |---|---|
//! | [`WHOLE`] | a batch that travels in one record |
//! | [`HOME`] | of one that was cut: what stays in the source's own lane, and the last to be put |
//! | [`FIRST_SPREAD`] and up | its series, by their hash |

/// A batch in one record.
pub const WHOLE: u8 = 0;
/// The part that is put when the stream has all others: who knows of it knows that nothing of the batch is owed.
pub const HOME: u8 = 1;
/// The first of those that are spread.
pub const FIRST_SPREAD: u8 = 2;
/// The greatest number of a batch that may be cut.
pub const SEQ_MAX: u64 = (1 << BITS) - 1;

/// Bits of a batch's own number.
const BITS: u32 = 56;

/// The number of a batch's part.
#[must_use]
pub fn numbered(seq: u64, part: u8) -> u64 {
    (seq & SEQ_MAX) | u64::from(part) << BITS
}

/// Which part a number is of.
#[must_use]
pub fn of(number: u64) -> u8 {
    (number >> BITS) as u8
}

/// The batch's own number.
#[must_use]
pub fn seq(number: u64) -> u64 {
    number & SEQ_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_s_number_says_the_batch_and_the_part() {
        for (number, part) in [(1, WHOLE), (1, HOME), (SEQ_MAX, u8::MAX), (0, FIRST_SPREAD)] {
            let named = numbered(number, part);
            assert_eq!((seq(named), of(named)), (number, part));
        }
        assert_eq!(numbered(7, WHOLE), 7, "a batch that was not cut keeps its number");
        assert_eq!((of(SEQ_MAX), of(SEQ_MAX + 1)), (WHOLE, HOME), "one past it is none that may be cut");
    }
}
