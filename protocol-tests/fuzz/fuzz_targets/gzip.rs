//! gzip, against miniz_oxide and a reading of RFC 1952 by hand.
#![no_main]

use flate2::Crc;
use kferry::batch::Codec;
use kferry_fuzz::codecs::decode;
use kferry_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

fuzz_target!(|data: &[u8]| decode(Codec::Gzip, data, members));

fn members(data: &[u8], cap: usize) -> Result<Vec<u8>, String> {
    let mut input = Input(data);
    let mut out = Vec::new();
    while !input.is_empty() {
        member(&mut input, cap, &mut out)?;
    }
    Ok(out)
}

fn member(input: &mut Input<'_>, cap: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let &[0x1f, 0x8b, 8, flags, ..] = input.take(10) else { return Err("no header".to_owned()) };
    if flags & 4 != 0 {
        let length = Input(input.take(2)).little(2);
        input.take(length as usize);
    }
    // A name, a comment: texts that end with a zero.
    for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
        while input.take(1).first().is_some_and(|byte| *byte != 0) {}
    }
    input.take(usize::from(flags & 2)); // the header's own checksum
    let start = out.len();
    out.resize(cap + 1, 0);
    let result = inflate(&mut InflateState::new_boxed(DataFormat::Raw), input.0, &mut out[start..], MZFlush::Finish);
    if result.status != Ok(MZStatus::StreamEnd) {
        return Err(format!("{:?}", result.status));
    }
    input.take(result.bytes_consumed);
    out.truncate(start + result.bytes_written);
    let mut crc = Crc::new();
    crc.update(&out[start..]);
    let trailer = (input.little(4) as u32, input.little(4) as usize);
    if trailer == (crc.sum(), out.len() - start) { Ok(()) } else { Err(format!("trailer {trailer:?}")) }
}
