//! Which bytes a block of a level has: the one place that chooses.

use bytes::Bytes;

use crate::join::Block;
use crate::layout::BlockError;
use crate::manifest::Level;

/// A block's bytes.
#[must_use]
pub fn encode(_level: Level, block: &Block) -> Bytes {
    block.encode()
}

/// Reads a block of any level, told by its first bytes.
pub fn decode(bytes: impl Into<Bytes>) -> Result<Block, BlockError> {
    Block::decode(bytes)
}
