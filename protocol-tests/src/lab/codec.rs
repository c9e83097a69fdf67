//! Compression as Kafka's clients do it, for the probe's batches.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

/// A codec, as the low three bits of a batch's attributes name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy in xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a batch with these attributes.
    pub fn of(attributes: i16) -> Self {
        match attributes & 7 {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            other => panic!("no codec has the number {other}"),
        }
    }

    /// Its number in the attributes.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// Its name in Kafka's configuration.
    pub fn name(self) -> &'static str {
        ["none", "gzip", "snappy", "lz4", "zstd"][self as usize]
    }

    /// Compresses.
    pub fn compress(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::None => plain.to_vec(),
            Self::Gzip => {
                let mut out = GzEncoder::new(Vec::new(), flate2::Compression::default());
                out.write_all(plain).expect("gzip into memory");
                out.finish().expect("gzip into memory")
            }
            Self::Snappy => xerial(plain),
            Self::Lz4 => {
                let mut out = FrameEncoder::new(Vec::new());
                out.write_all(plain).expect("lz4 into memory");
                out.finish().expect("lz4 into memory")
            }
            Self::Zstd => rust_zstd::compress_to_vec(plain),
        }
    }

    /// Decompresses what [`Codec::compress`] or a broker made.
    pub fn decompress(self, packed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match self {
            Self::None => plain = packed.to_vec(),
            Self::Gzip => drop(GzDecoder::new(packed).read_to_end(&mut plain).expect("gzip")),
            Self::Snappy => plain = unxerial(packed),
            Self::Lz4 => drop(FrameDecoder::new(packed).read_to_end(&mut plain).expect("lz4")),
            Self::Zstd => plain = rust_zstd::decompress(packed).expect("zstd"),
        }
        plain
    }
}

/// Magic, version and oldest compatible version; then blocks of a four-byte length and raw Snappy.
const XERIAL: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

fn xerial(plain: &[u8]) -> Vec<u8> {
    let mut out = XERIAL.to_vec();
    for chunk in plain.chunks(32 * 1024) {
        let block = snap::raw::Encoder::new().compress_vec(chunk).expect("snappy");
        out.extend(u32::try_from(block.len()).expect("a small block").to_be_bytes());
        out.extend(block);
    }
    out
}

fn unxerial(packed: &[u8]) -> Vec<u8> {
    let mut decoder = snap::raw::Decoder::new();
    let Some(mut rest) = packed.strip_prefix(XERIAL) else {
        return decoder.decompress_vec(packed).expect("snappy");
    };
    let mut plain = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (block, next) = behind.split_at(u32::from_be_bytes(*length) as usize);
        plain.extend(decoder.decompress_vec(block).expect("snappy"));
        rest = next;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::Codec;

    #[test]
    fn what_is_compressed_comes_back() {
        let plain: Vec<u8> = (0..100_000_u32).map(|n| (n / 7) as u8).collect();
        for codec in Codec::ALL {
            let packed = codec.compress(&plain);
            assert_eq!(codec.decompress(&packed), plain, "{}", codec.name());
            assert_eq!(packed.len() < plain.len(), codec != Codec::None, "{}", codec.name());
        }
    }
}
