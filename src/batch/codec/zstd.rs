//! Zstandard by rust-zstd. Decoding streams, so that a frame's claims about its size and window allocate nothing; a
//! window beyond 128 MiB is refused, as by Kafka's own client.

use super::{CodecFault, read_all};
use rust_zstd::DecompressReader;

/// What Kafka's producer takes by default (`compression.zstd.level`, KIP-390).
const LEVEL: i32 = 3;

pub(super) fn decode(bytes: &[u8], cap: usize) -> Result<Vec<u8>, CodecFault> {
    read_all(DecompressReader::new(bytes), cap)
}

pub(super) fn encode(bytes: &[u8]) -> Vec<u8> {
    rust_zstd::compress(bytes, LEVEL)
}
