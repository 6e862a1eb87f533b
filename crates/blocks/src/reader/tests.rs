use proptest::prelude::*;

use super::*;
use crate::layout::{PAGE_BYTES, block_name, decompress};
use crate::testing::{any_columns, column};

const ALL: (Timestamp, Timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MAX));

/// So many series that there are several pages.
fn large() -> Block {
    let values = |n: usize| (0..60).map(|at| (at * 10_000, (n as f64 + at as f64).sqrt())).collect::<Vec<_>>();
    join((0..300).map(|n| column(&format!("m{n:03}"), &values(n))))
}

#[test]
fn a_block_is_what_it_was() {
    for block in [Block::default(), join([column("x", &[(-5, f64::NAN), (7, -0.0)])]), large()] {
        let bytes = block.encode();
        assert_eq!(Block::decode(bytes.clone()).unwrap(), block);
        let reader = BlockReader::open(bytes).unwrap();
        assert_eq!((reader.samples(), reader.series().len() as u64), (block.samples(), block.series()));
        assert_eq!((reader.min_time(), reader.max_time()), (block.min_time(), block.max_time()));
    }
}

#[test]
fn one_series_is_read_without_the_others() {
    let block = large();
    let reader = BlockReader::open(block.encode()).unwrap();
    assert!(reader.pages.len() > 3, "{} pages", reader.pages.len());
    for (index, column) in block.columns().iter().enumerate() {
        assert_eq!(reader.find(&column.labels), Some(index));
        assert_eq!(reader.read(index, ALL.0, ALL.1).unwrap(), column.samples);
    }
    assert_eq!(reader.read(300, ALL.0, ALL.1), Err(BlockError::NoSuchSeries { index: 300 }));
    let stretch = reader.read(7, Timestamp(10_000), Timestamp(30_000)).unwrap();
    assert_eq!(stretch.iter().map(|sample| sample.at.0).collect::<Vec<_>>(), [10_000, 20_000, 30_000]);
    assert_eq!(reader.read(7, Timestamp(30_001), Timestamp(10_000)).unwrap(), []);

    // A damaged page spoils its own series only.
    let mut bytes = block.encode().to_vec();
    let last = bytes.len() - 1;
    bytes[last - 40..].fill(0x55);
    let reader = BlockReader::open(bytes).unwrap();
    assert!(reader.read(0, ALL.0, ALL.1).is_ok());
    assert!(reader.read(299, ALL.0, ALL.1).is_err());
    assert_eq!(reader.read_where(|labels| labels.metric_name() == Some("m000"), ALL.0, ALL.1).unwrap().len(), 1);
}

#[test]
fn wanted_series_come_in_order_and_only_with_samples() {
    let block = join([column("b", &[(1, 1.0), (9, 2.0)]), column("a", &[(1, 1.0)]), column("c", &[(5, 1.0)])]);
    let reader = BlockReader::open(block.encode()).unwrap();
    let found = reader.read_where(|labels| labels.metric_name() != Some("c"), Timestamp(2), Timestamp(9)).unwrap();
    assert_eq!(found, [column("b", &[(9, 2.0)])]);
}

#[test]
fn what_is_no_block_is_refused() {
    assert_eq!(Block::decode(Vec::new()), Err(BlockError::NotABlock));
    assert_eq!(Block::decode(b"DWb2xxxxxxxx".to_vec()), Err(BlockError::NotABlock));
    assert_eq!(Block::decode(b"DWb1".to_vec()), Err(BlockError::Truncated { what: "its head" }));
    assert_eq!(Block::decode(b"DWb1\xff\0\0\0".to_vec()), Err(BlockError::Truncated { what: "the index" }));
    let bytes = large().encode();
    assert_eq!(Block::decode(bytes.slice(..bytes.len() - 1)), Err(BlockError::Truncated { what: "the pages" }));
}

#[test]
fn a_page_is_closed_at_its_size() {
    let reader = BlockReader::open(large().encode()).unwrap();
    let (last, full) = reader.pages.split_last().unwrap();
    assert!(full.iter().all(|page| page.entry.plain_bytes >= PAGE_BYTES && page.entry.plain_bytes < 2 * PAGE_BYTES));
    assert!(last.entry.plain_bytes < 2 * PAGE_BYTES);
}

#[test]
fn decompression_at_the_limit_and_one_past_it() {
    let zeros = |n: usize| zstd::bulk::compress(&vec![0; n], 3).unwrap();
    let max = 10_000;
    assert_eq!(decompress(&zeros(max), None, max, "x").map(|bytes| bytes.len()), Ok(max));
    let too_large = decompress(&zeros(max + 1), None, max, "x");
    assert_eq!(too_large, Err(BlockError::TooLarge { what: "x", bytes: max as u64 + 1, max }));
    assert!(decompress(&zeros(max), Some(max), max, "x").is_ok());
    assert!(decompress(&zeros(max), Some(max + 1), max, "x").is_err());
    assert_eq!(decompress(&zeros(max), Some(max - 1), max, "x"), Err(BlockError::Zstd { what: "x" }));
    // The bounds that blocks are read with: far below what a machine that reads them has.
    const { assert!(PAGE_BYTES_MAX < INDEX_BYTES_MAX && INDEX_BYTES_MAX <= 1 << 28) };
}

#[test]
fn a_name_is_a_function_of_the_bytes() {
    let bytes = large().encode();
    assert_eq!(block_name(&bytes).len(), 32);
    assert_eq!(block_name(&bytes), block_name(&bytes.clone()));
    assert_ne!(block_name(&bytes), block_name(&bytes[1..]));
    assert_eq!(block_name(b""), "af1349b9f5f9a1a6a0404dea36dcc949");
}

/// The layout does not change under the blocks that are stored already.
#[test]
fn version_1_never_changes() {
    let block = join([column("x", &[(10, 0.5), (20, 0.75)]), column("y", &[(10, 1.0 / 3.0), (20, 2.0)])]);
    assert_eq!(Block::decode(include_bytes!("../../fixtures/block_v1.bin").as_slice()).unwrap(), block);
}

proptest! {
    #[test]
    fn blocks_round_trip(columns in any_columns()) {
        let block = join(columns);
        prop_assert_eq!(Block::decode(block.encode()).unwrap(), block);
    }

    #[test]
    fn the_same_set_has_the_same_bytes(mut columns in any_columns()) {
        let bytes = join(columns.clone()).encode();
        columns.reverse();
        columns.extend(columns.clone());
        prop_assert_eq!(join(columns).encode(), bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Block::decode([b"DWb1".as_slice(), &bytes].concat());
        let _ = BlockReader::decode_index(&bytes, 0, 1_000);
    }

    #[test]
    fn no_mutated_block_panics(columns in any_columns(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = join(columns).encode().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Block::decode(bytes);
    }

    #[test]
    fn no_mutated_index_panics(columns in any_columns(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let bytes = join(columns).encode();
        let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        let mut index = decompress(&bytes[8..8 + length], None, INDEX_BYTES_MAX, "the index").unwrap();
        let at = at.index(index.len());
        index[at] = byte;
        if let Ok(mut reader) = BlockReader::decode_index(&index, 8 + length, bytes.len()) {
            reader.bytes = bytes;
            let _ = reader.read_where(|_| true, ALL.0, ALL.1);
        }
    }
}
