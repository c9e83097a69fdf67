//! LZ4 frames, against lz-fear.
#![no_main]

use kferry::batch::Codec;
use kferry_fuzz::codecs::decode;
use libfuzzer_sys::fuzz_target;
use lz_fear::LZ4FrameReader;
use std::io::Read;

fuzz_target!(|data: &[u8]| decode(Codec::Lz4, data, frame));

/// The first frame: neither kferry nor Kafka's own client looks at what lies behind it.
fn frame(mut data: &[u8], cap: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let frame = LZ4FrameReader::new(&mut data).map_err(|error| error.to_string())?;
    frame.into_read().take(cap as u64 + 1).read_to_end(&mut out).map_err(|error| error.to_string())?;
    if out.len() > cap { Err("more than expected".to_owned()) } else { Ok(out) }
}
