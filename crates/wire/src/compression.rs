//! zstd, with its limits checked before memory is given.

use std::io::Read;

use crate::codec::DecodeError;
use crate::limits::{DECOMPRESSED_BYTES_FREE, DECOMPRESSED_BYTES_MAX, DECOMPRESSION_RATIO_MAX};

/// zstd's level: 3 is its default, and batches gain little above it.
const LEVEL: i32 = 3;
/// log2 of the largest window that a frame may ask for: 8 MiB. zstd's default would allow 128 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// How many bytes may come out of `compressed` bytes.
pub(crate) fn decompressed_bytes_max(compressed: usize) -> usize {
    let by_ratio = compressed.saturating_mul(DECOMPRESSION_RATIO_MAX).saturating_add(DECOMPRESSED_BYTES_FREE);
    by_ratio.min(DECOMPRESSED_BYTES_MAX)
}

/// One zstd frame with the content's size in its header.
pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    // The only error of compressing from memory into memory is running out of memory.
    zstd::bulk::compress(bytes, LEVEL).unwrap_or_default()
}

/// Decompresses at most what the limits allow.
pub(crate) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let max = decompressed_bytes_max(bytes.len());
    let zstd_error = |error: std::io::Error| DecodeError::Zstd { what: error.to_string() };
    let declared = match zstd::zstd_safe::get_frame_content_size(bytes) {
        Ok(Some(size)) if size > max as u64 => return Err(DecodeError::DecompressedTooLong { max }),
        Ok(Some(size)) => size as usize,
        // A streaming encoder does not know it.
        Ok(None) => 0,
        Err(error) => return Err(DecodeError::Zstd { what: error.to_string() }),
    };
    if declared > 0 {
        // One frame that says its size is read in one go; whatever is not just that, as a stream.
        let plain = zstd::bulk::decompress(bytes, declared);
        if let Ok(plain) = plain
            && plain.len() == declared
        {
            return Ok(plain);
        }
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(zstd_error)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(zstd_error)?;
    let mut out = Vec::with_capacity(declared);
    decoder.take(max as u64 + 1).read_to_end(&mut out).map_err(zstd_error)?;
    if out.len() > max { Err(DecodeError::DecompressedTooLong { max }) } else { Ok(out) }
}
