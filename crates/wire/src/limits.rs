//! Limits of what travels. Each is tested at the limit and one past it, next to the code that checks it.

/// Characters of a batch frame's payload (base64), so that the frame stays below API Gateway's 32 KB unit.
pub const PAYLOAD_BYTES_MAX: usize = 30_000;
/// Bytes of one websocket frame's text.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;

/// Bytes of an encoded (compressed) batch. Agents stay far below, by [`PAYLOAD_BYTES_MAX`]; pushed
/// bodies may use it, and it leaves room for the envelope within a stream record of 1 MB.
pub const BATCH_BYTES_MAX: usize = 900_000;
/// Bytes of a batch after decompression.
pub const DECOMPRESSED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A batch may always decompress to this many bytes, however short it is: a constant value
/// compresses without end.
pub const DECOMPRESSED_BYTES_FREE: usize = 1024 * 1024;
/// Beyond that, this many bytes for each compressed byte.
pub const DECOMPRESSION_RATIO_MAX: usize = 200;

/// Series (columns) of one batch.
pub const SERIES_PER_BATCH_MAX: usize = 20_000;
/// Samples of one batch.
pub const SAMPLES_PER_BATCH_MAX: usize = 250_000;
/// Entries of a batch's string table.
pub const STRINGS_PER_BATCH_MAX: usize = 100_000;
/// Bytes of all label sets of a packed batch, written out.
pub const PACKED_LABEL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Check results of one batch.
pub const CHECKS_PER_BATCH_MAX: usize = 2_000;
/// Log records of one batch.
pub const LOGS_PER_BATCH_MAX: usize = 10_000;

/// Metrics that one batch describes.
pub const METADATA_PER_BATCH_MAX: usize = 2_000;
/// Bytes of a described metric's name, its kind or its unit.
pub const METADATA_NAME_BYTES_MAX: usize = 1_024;
/// Bytes of a metric's help text.
pub const METADATA_HELP_BYTES_MAX: usize = 1_024;

/// Bytes of a check's name.
pub const CHECK_NAME_BYTES_MAX: usize = 256;
/// Bytes of a check's text.
pub const CHECK_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Items of performance data of one check result.
pub const PERF_ITEMS_MAX: usize = 256;
/// Bytes of a perfdata item's label, unit or threshold.
pub const PERF_TEXT_BYTES_MAX: usize = 512;
/// Bytes of a log record's file name or level.
pub const LOG_NAME_BYTES_MAX: usize = 1_024;
/// Bytes of a log record's text.
pub const LOG_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Reasons in an agent's counters.
pub const REASONS_MAX: usize = 32;
/// Bytes of a reason's name.
pub const REASON_BYTES_MAX: usize = 40;
/// Bytes of a rejection's example.
pub const REJECTION_TEXT_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use series::limits::{
        LABEL_NAME_BYTES_MAX, LABEL_SET_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, METRIC_NAME_BYTES_MAX,
    };

    use super::*;

    /// `number` as documents write it.
    fn shown(number: usize) -> String {
        let digits = number.to_string();
        let cut = digits.len().saturating_sub(3);
        if cut == 0 { digits } else { format!("{},{}", &digits[..cut], &digits[cut..]) }
    }

    #[test]
    fn the_documented_limits_are_the_real_ones() {
        let document = include_str!("../../../docs/protocol.md");
        let mut rows = document.lines().skip_while(|line| *line != "### Limits").filter(|line| line.starts_with("| "));
        let mut check = |limits: &[usize]| {
            let row = rows.find(|row| !row.starts_with("| what") && !row.contains("4 MiB")).unwrap_or_default();
            for limit in limits {
                assert!(row.contains(&shown(*limit)), "{limit} in {row}");
            }
        };
        check(&[FRAME_BYTES_MAX]);
        check(&[PAYLOAD_BYTES_MAX]);
        check(&[BATCH_BYTES_MAX]);
        check(&[SERIES_PER_BATCH_MAX, SAMPLES_PER_BATCH_MAX, STRINGS_PER_BATCH_MAX]);
        check(&[CHECKS_PER_BATCH_MAX, LOGS_PER_BATCH_MAX]);
        check(&[LABELS_PER_SERIES_MAX, LABEL_SET_BYTES_MAX]);
        check(&[LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, METRIC_NAME_BYTES_MAX]);
        check(&[CHECK_NAME_BYTES_MAX, CHECK_TEXT_BYTES_MAX]);
        check(&[PERF_ITEMS_MAX, PERF_TEXT_BYTES_MAX]);
        check(&[LOG_NAME_BYTES_MAX, LOG_TEXT_BYTES_MAX]);
        check(&[METADATA_PER_BATCH_MAX, METADATA_NAME_BYTES_MAX, METADATA_HELP_BYTES_MAX]);
        assert_eq!(DECOMPRESSED_BYTES_MAX, 4 << 20);
        assert_eq!((DECOMPRESSED_BYTES_FREE, DECOMPRESSION_RATIO_MAX), (1 << 20, 200));
        assert!(document.contains(&format!("≤ {REASONS_MAX} reasons of ≤ {REASON_BYTES_MAX}\nbytes")));
    }
}
