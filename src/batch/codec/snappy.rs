//! Snappy in the framing of xerial's Java library, which Kafka's Java client writes: a header, then blocks with their
//! compressed length in front. Other clients write one raw block; both are read.

use super::CodecFault;
use crate::kafka::Cursor;
use snap::raw::{Decoder, Encoder, decompress_len};

/// The header: magic, then the version and the oldest version that can read it, both 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// The magic, by which the framing is told from a raw block.
const MAGIC: &[u8] = b"\x82SNAPPY\0";

/// Bytes that go into one block, as in the Java library.
const BLOCK: usize = 32 << 10;

/// No byte of a block stands for more than this many decompressed ones: three bytes copy at most 64.
const MOST_PER_BYTE: usize = 22;

pub(super) fn decode(bytes: &[u8], cap: usize) -> Result<Vec<u8>, CodecFault> {
    let mut out = Vec::new();
    if !bytes.starts_with(MAGIC) {
        append_block(&mut out, bytes, cap)?;
        return Ok(out);
    }
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        // A stream that was appended to another brings its header along.
        if cursor.rest().starts_with(MAGIC) {
            cursor.take("header", HEADER.len()).map_err(CodecFault::malformed)?;
            continue;
        }
        let block = cursor.nullable_bytes("block").map_err(CodecFault::malformed)?;
        append_block(&mut out, block.unwrap_or_default(), cap)?;
    }
    Ok(out)
}

fn append_block(out: &mut Vec<u8>, block: &[u8], cap: usize) -> Result<(), CodecFault> {
    let start = out.len();
    let length = decompress_len(block).map_err(CodecFault::malformed)?;
    let end = start.saturating_add(length);
    if end > cap {
        return Err(CodecFault::TooLarge { cap });
    }
    if length > block.len().saturating_mul(MOST_PER_BYTE) {
        let error = format!("a block of {} bytes says that it holds {length}", block.len());
        return Err(CodecFault::Malformed(error));
    }
    out.resize(end, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    Decoder::new().decompress(block, target).map_err(CodecFault::malformed)?;
    Ok(())
}

pub(super) fn encode(bytes: &[u8]) -> Result<Vec<u8>, CodecFault> {
    let mut out = HEADER.to_vec();
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK) {
        let block = encoder.compress_vec(block).map_err(CodecFault::malformed)?;
        let length = u32::try_from(block.len()).map_err(CodecFault::malformed)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}
