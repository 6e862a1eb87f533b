//! A pushed body as it was before its sender compressed it: snappy (block format), gzip, deflate, zstd.
//!
//! Both the size and the ratio are held against a limit, and as far as the format tells the size in
//! advance, before anything is allocated; else output grows with input and stops at the limit. So a
//! bomb costs at most [`DECOMPRESSED_BYTES_MAX`], whatever it claims.

use std::borrow::Cow;
use std::io::Read;

/// Bytes of a body after decompression.
pub const DECOMPRESSED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A body may always decompress to this many bytes, however short it is.
pub const DECOMPRESSED_BYTES_FREE: usize = 1024 * 1024;
/// Beyond that, this many bytes for each compressed byte. What repeats itself without end is no data.
pub const DECOMPRESSION_RATIO_MAX: usize = 100;
/// Snappy's copies write at most 64 bytes for three: a header that promises more does not tell the truth.
const SNAPPY_RATIO_MAX: usize = 22;
/// log2 of the largest window that a zstd frame may ask for: 8 MiB, as RFC 8878 recommends.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What is allocated first where the size is not known.
const FIRST_BYTES: usize = 64 * 1024;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// Snappy's block format, as remote write has it.
    Snappy,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and RFC 1951 as some send it in its place.
    Deflate,
    /// RFC 8878.
    Zstd,
}

/// Why a body could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    #[error("Content-Encoding {0:?} is not known here, but snappy, gzip, deflate and zstd")]
    Unknown(String),
    #[error("the body is not {encoding}: {what}")]
    Broken { encoding: &'static str, what: String },
    #[error("the body decompresses to more than {max} bytes ({limit})")]
    TooLarge { max: usize, limit: &'static str },
}

impl Encoding {
    /// From the header `Content-Encoding`.
    pub fn from_header(header: Option<&str>) -> Result<Self, DecompressError> {
        let name = header.unwrap_or_default().trim().to_ascii_lowercase();
        Ok(match name.as_str() {
            "" | "identity" => Self::Identity,
            "snappy" => Self::Snappy,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "zstd" => Self::Zstd,
            _ => return Err(DecompressError::Unknown(name.chars().take(64).collect())),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

/// How many bytes may come out of `compressed` bytes, and the limit's name.
fn bytes_max(compressed: usize) -> (usize, &'static str) {
    let by_ratio = compressed.saturating_mul(DECOMPRESSION_RATIO_MAX).saturating_add(DECOMPRESSED_BYTES_FREE);
    if by_ratio < DECOMPRESSED_BYTES_MAX {
        (by_ratio, "decompression_ratio_max")
    } else {
        (DECOMPRESSED_BYTES_MAX, "decompressed_bytes_max")
    }
}

/// The body as it was before its sender compressed it.
pub fn decompress(encoding: Encoding, body: &[u8]) -> Result<Cow<'_, [u8]>, DecompressError> {
    match encoding {
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        Encoding::Snappy => snappy(body).map(Cow::Owned),
        Encoding::Gzip => read(encoding, body, flate2::bufread::MultiGzDecoder::new(body), 0).map(Cow::Owned),
        Encoding::Deflate => deflate(body).map(Cow::Owned),
        Encoding::Zstd => zstd(body).map(Cow::Owned),
    }
}

fn snappy(body: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let broken = |what: String| DecompressError::Broken { encoding: "snappy", what };
    let declared = snap::raw::decompress_len(body).map_err(|error| broken(error.to_string()))?;
    let (max, limit) = bytes_max(body.len());
    if declared > max {
        return Err(DecompressError::TooLarge { max, limit });
    }
    if declared > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(broken(format!("its header promises {declared} bytes, which {} cannot hold", body.len())));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|error| broken(error.to_string()))
}

fn deflate(body: &[u8]) -> Result<Vec<u8>, DecompressError> {
    // A zlib header: method 8, and the first two bytes are a multiple of 31.
    let zlib = matches!(body, [a, b, ..] if a & 0x0f == 8 && (u16::from(*a) << 8 | u16::from(*b)).is_multiple_of(31));
    if zlib {
        read(Encoding::Deflate, body, flate2::bufread::ZlibDecoder::new(body), 0)
    } else {
        read(Encoding::Deflate, body, flate2::bufread::DeflateDecoder::new(body), 0)
    }
}

fn zstd(body: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let broken = |what: String| DecompressError::Broken { encoding: "zstd", what };
    let (max, limit) = bytes_max(body.len());
    let declared = match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(Some(size)) if size > max as u64 => return Err(DecompressError::TooLarge { max, limit }),
        Ok(size) => size.unwrap_or_default() as usize,
        Err(error) => return Err(broken(error.to_string())),
    };
    let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(decoder)
    });
    read(Encoding::Zstd, body, decoder.map_err(|error| broken(error.to_string()))?, declared)
}

fn read(encoding: Encoding, body: &[u8], decoder: impl Read, declared: usize) -> Result<Vec<u8>, DecompressError> {
    let (max, limit) = bytes_max(body.len());
    let mut out = Vec::with_capacity(if declared == 0 { FIRST_BYTES.min(max) } else { declared });
    decoder
        .take(max as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| DecompressError::Broken { encoding: encoding.name(), what: error.to_string() })?;
    if out.len() > max { Err(DecompressError::TooLarge { max, limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compress(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => bytes.to_vec(),
            Encoding::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::bulk::compress(bytes, 1).unwrap(),
        }
    }

    const ALL: [Encoding; 4] = [Encoding::Snappy, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    #[test]
    fn what_was_compressed_comes_out_again() {
        let text: Vec<u8> = (0..50_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect();
        for encoding in ALL {
            let packed = compress(encoding, &text);
            assert_eq!(decompress(encoding, &packed).as_deref(), Ok(text.as_slice()), "{encoding:?}");
            let cut = decompress(encoding, &packed[..packed.len() / 2]).unwrap_err();
            assert!(matches!(cut, DecompressError::Broken { .. }), "{encoding:?}: {cut}");
            assert!(decompress(encoding, b"").map_or(true, |empty| empty.is_empty()));
            assert_eq!(Encoding::from_header(Some(encoding.name())), Ok(encoding));
        }
        assert!(Encoding::from_header(Some("br")).unwrap_err().to_string().contains("\"br\""));
        assert_eq!(Encoding::from_header(None), Ok(Encoding::Identity));
    }

    #[test]
    fn size_and_ratio_at_the_limit_and_one_past_it() {
        // Zeros compress a thousandfold: the ratio is what stops them. Snappy cannot reach it.
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            assert!(decompress(encoding, &compress(encoding, &vec![0; DECOMPRESSED_BYTES_FREE])).is_ok());
            let bomb = compress(encoding, &vec![0; 8 * DECOMPRESSED_BYTES_FREE]);
            let refused = decompress(encoding, &bomb).unwrap_err().to_string();
            assert!(refused.contains("decompression_ratio_max"), "{encoding:?}: {refused}");
        }
        let noisy = |bytes: usize| -> Vec<u8> {
            let mut state = 1_u32;
            let random = std::iter::repeat_with(move || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            random.take(bytes).collect()
        };
        // gzip and deflate are read as zstd is, and slow to write.
        for encoding in [Encoding::Snappy, Encoding::Zstd] {
            let of = |bytes: usize| decompress(encoding, &compress(encoding, &noisy(bytes))).map(|all| all.len());
            assert_eq!(of(DECOMPRESSED_BYTES_MAX), Ok(DECOMPRESSED_BYTES_MAX), "{encoding:?}");
            let refused = of(DECOMPRESSED_BYTES_MAX + 1).unwrap_err().to_string();
            assert!(refused.contains("decompressed_bytes_max"), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn what_only_claims_to_be_large_is_not_allocated() {
        // Snappy: a header of 30 MB before three bytes. zstd: a frame that says 10 GB.
        let mut lie = Vec::new();
        series::protobuf::put_varint(&mut lie, 30 << 20);
        lie.extend_from_slice(&[0; 400_000]);
        assert!(decompress(Encoding::Snappy, &lie).unwrap_err().to_string().contains("promises"));
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend_from_slice(&(10_u64 << 30).to_le_bytes());
        frame.extend_from_slice(&[0; 16]);
        let refused = decompress(Encoding::Zstd, &frame).unwrap_err();
        assert!(matches!(refused, DecompressError::TooLarge { .. }), "{refused}");
        assert!(decompress(Encoding::Snappy, &[0xff; 12]).is_err());
    }
}
