//! A source's log as a row of items: a byte of flags, a size of two bytes, and as many bytes of one record batch or of one
//! message of the old formats. The flags say what is made right before kferry reads it.

use crate::input::Input;
use bytes::{BufMut, Bytes};
use flate2::Crc;
use kferry::batch::{Codec, HEADER_SIZE};
use protocol_tests::broker::batch::{Header, PREFIX, seal};

/// The payload is what the records are, and is compressed with the codec that the attributes name. The payload of an old
/// message is then a row of items itself.
pub const PACK: u8 = 1;
/// The length becomes the right one.
pub const LENGTH: u8 = 2;
/// The checksum becomes the right one.
pub const CHECKSUM: u8 = 4;
/// Another answer begins with this item.
pub const ANSWER: u8 = 8;
/// Everything becomes right.
pub const RIGHT: u8 = PACK | LENGTH | CHECKSUM;

const MAGIC_AT: usize = 16;

/// Which formats the items of an input have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Formats {
    /// What each says itself.
    Any,
    /// Magic 0 or 1.
    Old,
}

/// An item as seeds write it.
pub fn item(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let size = u16::try_from(bytes.len()).expect("seeds are small");
    let mut out = vec![flags];
    out.put_u16(size);
    out.extend_from_slice(bytes);
    out
}

/// The record bytes of each answer that the items stand for, as a broker would send them.
pub fn answers(items: &[u8], formats: Formats) -> Vec<Bytes> {
    let mut input = Input(items);
    let mut answers = Vec::new();
    let mut out = Vec::new();
    while !input.is_empty() {
        let flags = input.take(1).first().copied().unwrap_or(0);
        if flags & ANSWER != 0 {
            answers.push(Bytes::from(std::mem::take(&mut out)));
        }
        let size = input.number(2);
        let mut bytes = input.take(size as usize).to_vec();
        if let (Formats::Old, Some(magic)) = (formats, bytes.get_mut(MAGIC_AT)) {
            *magic &= 1;
        }
        out.extend_from_slice(&match bytes.get(MAGIC_AT) {
            Some(0 | 1) => message(flags, bytes),
            Some(_) if bytes.len() >= HEADER_SIZE => batch(flags, bytes),
            _ => bytes,
        });
    }
    answers.push(out.into());
    answers
}

fn packed(codec: i16, plain: &[u8]) -> Option<Vec<u8>> {
    Codec::from_bits(codec)?.encode(plain.to_vec()).ok()
}

fn batch(flags: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(mut header) = Header::read(&bytes) else { return bytes };
    if flags & PACK != 0
        && let Some(payload) = packed(header.codec(), &bytes[HEADER_SIZE..])
    {
        bytes.truncate(HEADER_SIZE);
        bytes.extend_from_slice(&payload);
    }
    if flags & LENGTH != 0 {
        header.length = (bytes.len() - PREFIX) as i32;
        bytes[8..12].copy_from_slice(&header.length.to_be_bytes());
    }
    if flags & CHECKSUM != 0 {
        seal(&mut bytes, &header);
    }
    bytes
}

/// Offset, size, CRC-32, magic, attributes, in magic 1 a timestamp, key, value.
fn message(flags: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    let front = if bytes[MAGIC_AT] == 0 { 18 } else { 26 };
    let codec = bytes.get(17).map_or(0, |attributes| i16::from(attributes & 7));
    if flags & PACK != 0
        && codec != 0
        && let Some(inner) = bytes.get(front..)
        // Inside of a set nothing is compressed again.
        && let Some(value) = packed(codec, &answers(&flat(inner), Formats::Old).concat())
    {
        bytes.truncate(front);
        bytes.put_i32(-1);
        bytes.put_i32(value.len() as i32);
        bytes.extend_from_slice(&value);
    }
    if flags & LENGTH != 0 {
        let size = (bytes.len() - PREFIX) as i32;
        bytes[8..12].copy_from_slice(&size.to_be_bytes());
    }
    if flags & CHECKSUM != 0 {
        let mut crc = Crc::new();
        crc.update(&bytes[MAGIC_AT..]);
        bytes[12..16].copy_from_slice(&crc.sum().to_be_bytes());
    }
    bytes
}

/// The same items without [`PACK`].
fn flat(items: &[u8]) -> Vec<u8> {
    let mut input = Input(items);
    let mut out = Vec::new();
    while !input.is_empty() {
        out.extend(input.take(1).iter().map(|flags| flags & !PACK));
        let size = input.take(2);
        out.extend_from_slice(size);
        out.extend_from_slice(input.take(Input(size).number(size.len()) as usize));
    }
    out
}
