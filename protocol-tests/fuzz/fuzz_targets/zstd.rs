//! Zstandard, against ruzstd.
#![no_main]

use kferry::batch::Codec;
use kferry_fuzz::codecs::decode;
use libfuzzer_sys::fuzz_target;
use ruzstd::decoding::FrameDecoder;

fuzz_target!(|data: &[u8]| decode(Codec::Zstd, data, frames));

fn frames(data: &[u8], cap: usize) -> Result<Vec<u8>, String> {
    // It writes no further than what was reserved.
    let mut out = Vec::with_capacity(cap);
    FrameDecoder::new().decode_all_to_vec(data, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}
