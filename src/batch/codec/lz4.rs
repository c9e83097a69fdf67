//! LZ4 frames by lz4_flex, shaped as Kafka's Java client shapes them: its reader takes independent blocks only.

use super::{CodecFault, read_all};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::Write;

pub(super) fn decode(bytes: &[u8], cap: usize) -> Result<Vec<u8>, CodecFault> {
    read_all(FrameDecoder::new(bytes), cap)
}

pub(super) fn encode(bytes: &[u8]) -> Result<Vec<u8>, CodecFault> {
    let shape = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(shape, Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(CodecFault::malformed)
}
