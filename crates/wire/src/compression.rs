//! zstd, with its limits checked before memory is given.

use std::cell::RefCell;
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

thread_local! {
    // Their tables take longer to make than a batch to compress or to read.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// One zstd frame with the content's size in its header.
pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        // The only error of compressing from memory into memory is running out of memory.
        kept.as_mut().and_then(|compressor| compressor.compress(bytes).ok()).unwrap_or_default()
    })
}

/// One frame in one go; `None` where it is not just that.
fn decompress_frame(bytes: &[u8], plain_bytes: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Decompressor::new().ok();
        }
        kept.as_mut().and_then(|decompressor| decompressor.decompress(bytes, plain_bytes).ok())
    })
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
        if let Some(plain) = decompress_frame(bytes, declared)
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
