//! gzip by flate2 over zlib-rs.

use super::{CodecFault, read_all};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::Write;

pub(super) fn decode(bytes: &[u8], cap: usize) -> Result<Vec<u8>, CodecFault> {
    read_all(MultiGzDecoder::new(bytes), cap)
}

pub(super) fn encode(bytes: &[u8]) -> Result<Vec<u8>, CodecFault> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
