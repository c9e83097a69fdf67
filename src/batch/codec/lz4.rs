//! LZ4 frames by lz4_flex, shaped as Kafka's Java client shapes them: its reader takes independent blocks only.

use super::{CodecFault, read_all};
use crate::kafka::{Cursor, CursorError};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::Write;
use twox_hash::XxHash32;

pub(super) fn decode(bytes: &[u8], cap: usize) -> Result<Vec<u8>, CodecFault> {
    // lz4_flex also knows the frames of before 2013, which no Kafka client does, and sets 16 MiB aside for them.
    if !bytes.starts_with(&MAGIC) {
        return Err(CodecFault::malformed("it does not begin as an LZ4 frame"));
    }
    walk(bytes).map_err(CodecFault::malformed)?;
    read_all(FrameDecoder::new(bytes), cap)
}

pub(super) fn encode(bytes: &[u8]) -> Result<Vec<u8>, CodecFault> {
    let shape = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(shape, Vec::new());
    encoder.write_all(bytes)?;
    encoder.finish().map_err(CodecFault::malformed)
}

/// The number that begins a frame.
const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// The flags of a frame's header that decide where things are (LZ4 Frame Format 1.6).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    /// Bytes behind the flags' own and the block size's: the content's size and the dictionary's id.
    const fn extra(self) -> usize {
        match (self.0 & 0x08 != 0, self.0 & 0x01 != 0) {
            (false, false) => 0,
            (false, true) => 4,
            (true, false) => 8,
            (true, true) => 12,
        }
    }

    const fn block_checksum(self) -> usize {
        if self.0 & 0x10 == 0 { 0 } else { 4 }
    }

    const fn content_checksum(self) -> usize {
        if self.0 & 0x04 == 0 { 0 } else { 4 }
    }
}

/// Goes through a frame up to its end. lz4_flex takes a frame that stops between two blocks for a whole one. What lies
/// behind the frame nobody looks at, as in Kafka's own client.
fn walk(frame: &[u8]) -> Result<(), CursorError> {
    let mut cursor = Cursor::new(frame);
    cursor.take("magic", MAGIC.len())?;
    let flags = Flags(cursor.u8("flags")?);
    cursor.take("frame header", flags.extra().saturating_add(2))?;
    loop {
        let block = u32::from_le_bytes(cursor.array("block size")?);
        if block == 0 {
            break;
        }
        let length = usize::try_from(block & 0x7fff_ffff).unwrap_or(usize::MAX);
        cursor.take("block", length.saturating_add(flags.block_checksum()))?;
    }
    cursor.take("content checksum", flags.content_checksum())?;
    Ok(())
}

/// The frame with the checksum that its header should have. What is no frame is left as it is.
pub(super) fn with_header_checksum(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let flags = Flags(frame.get(MAGIC.len()).copied().unwrap_or_default());
    let end = MAGIC.len().saturating_add(2).saturating_add(flags.extra());
    if let Some((header, [checksum, ..])) = frame.split_at_mut_checked(end) {
        let hash = XxHash32::oneshot(0, header.get(MAGIC.len()..).unwrap_or_default());
        *checksum = hash.to_be_bytes()[2];
    }
    frame
}
