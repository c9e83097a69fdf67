//! Snappy, raw and in the framing of the Java library, against a decoder that follows the format's description step by step.
#![no_main]

use kferry::batch::Codec;
use kferry_fuzz::codecs::decode;
use kferry_fuzz::input::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| decode(Codec::Snappy, data, framed));

const MAGIC: &[u8] = b"\x82SNAPPY\0";

fn framed(data: &[u8], _: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    if !data.starts_with(MAGIC) {
        block(data, &mut out)?;
        return Ok(out);
    }
    let mut input = Input(data);
    while !input.is_empty() {
        if input.0.starts_with(MAGIC) {
            input.take(16);
            continue;
        }
        let length = input.number(4) as usize;
        block(input.take(length), &mut out)?;
    }
    Ok(out)
}

/// The length of what comes out as a varint, then elements: bytes as they are, or a copy of what came out before.
fn block(data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut input = Input(data);
    let start = out.len();
    let mut length = 0;
    for shift in (0..35).step_by(7) {
        let byte = input.number(1);
        length |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    while !input.is_empty() {
        let tag = input.number(1) as usize;
        let (offset, count) = match tag & 3 {
            0 => {
                let count = if tag < 240 { tag >> 2 } else { input.little((tag >> 2) - 59) as usize };
                let bytes = input.take(count + 1);
                if bytes.len() != count + 1 {
                    return Err("it ends in a literal".to_owned());
                }
                out.extend_from_slice(bytes);
                continue;
            }
            1 => ((tag >> 5) << 8 | input.number(1) as usize, (tag >> 2 & 7) + 4),
            2 => (input.little(2) as usize, (tag >> 2) + 1),
            _ => (input.little(4) as usize, (tag >> 2) + 1),
        };
        if offset == 0 || offset > out.len() - start {
            return Err(format!("a copy from {offset} bytes before"));
        }
        for _ in 0..count {
            out.push(out[out.len() - offset]);
        }
    }
    if (out.len() - start) as u64 == length { Ok(()) } else { Err(format!("not {length} bytes")) }
}
