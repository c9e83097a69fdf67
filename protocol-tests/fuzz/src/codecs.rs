//! What must hold for any bytes that a decompressor is given.

use crate::memory::{multiple, within};
use bytes::Bytes;
use kferry::batch::{Codec, CodecFault};

/// The most that is decompressed.
pub const CAP: usize = 1 << 20;

/// What a decompressor holds whatever it reads: tables, windows, a vector that was grown to twice the cap. Linked LZ4 blocks of
/// 4 MiB take most: three have room.
const fn overhead(codec: Codec) -> usize {
    if matches!(codec, Codec::Lz4) { 15 << 20 } else { 8 << 20 }
}

/// Decompresses `data`, compares with what `second` makes of it, and reads back what kferry makes of `data` itself.
/// `second` is another decompressor of at most the given number of bytes; it is only asked about what kferry reads.
pub fn decode(codec: Codec, data: &[u8], second: impl Fn(&[u8], usize) -> Result<Vec<u8>, String>) {
    let packed = Bytes::copy_from_slice(data);
    let decoded = within(multiple(data.len(), 4) + overhead(codec), || codec.decode(packed, CAP));
    match &decoded {
        Ok(plain) => {
            assert!(plain.len() <= CAP);
            let other = second(data, plain.len()).map(Bytes::from);
            assert_eq!(other.as_ref(), Ok(plain), "the second decompressor reads something else");
        }
        Err(error) => {
            assert!(matches!(error.fault, CodecFault::TooLarge { cap: CAP } | CodecFault::Malformed(_)));
        }
    }
    let encoded = codec.encode(data.to_vec()).expect("any bytes can be compressed");
    assert_eq!(second(&encoded, data.len()).as_deref(), Ok(data), "what kferry writes, read by the other");
    let back = codec.decode(encoded.into(), data.len());
    assert_eq!(back.as_deref(), Ok(data), "what kferry writes, read by itself");
}
