//! The compression codecs of record batches, for validation and recompression. Each decoder is bounded.

use std::io::{Read, Write};

/// More than any batch decodes to; a bomb ends here.
const MAX_DECODED: u64 = 512 * 1024 * 1024;

/// A codec by its id in the batch attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Codec {
    /// 0.
    #[default]
    None,
    /// 1.
    Gzip,
    /// 2, in the framing of the Java library.
    Snappy,
    /// 3, frame format.
    Lz4,
    /// 4.
    Zstd,
}

impl Codec {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// By attribute bits; `None` for an id nobody has assigned.
    pub fn from_id(id: i16) -> Option<Self> {
        usize::try_from(id).ok().and_then(|id| Self::ALL.get(id).copied())
    }

    /// Attribute bits.
    pub const fn id(self) -> i16 {
        self as i16
    }

    /// As producers' configuration names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// What a topic's compression.type asks of a batch that came with `sent`; `None` for a word that is none.
    pub fn of_topic(compression_type: &str, sent: Self) -> Option<Self> {
        Some(match compression_type {
            "producer" => sent,
            "uncompressed" => Self::None,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// Packs the records of a batch.
    pub fn compress(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Self::Snappy => xerial_compress(plain),
            Self::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(plain)?;
                encoder.finish().map_err(std::io::Error::other)
            }
            Self::Zstd => Ok(rust_zstd::compress(plain, 3)),
        }
    }

    /// Unpacks the records of a batch.
    pub fn decompress(self, packed: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(packed.to_vec()),
            Self::Gzip => bounded(flate2::read::MultiGzDecoder::new(packed)),
            Self::Snappy => snappy_decompress(packed),
            Self::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(packed)),
            Self::Zstd => rust_zstd::decompress(packed).map_err(std::io::Error::other),
        }
    }
}

fn bounded(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(MAX_DECODED + 1).read_to_end(&mut out)?;
    if out.len() as u64 > MAX_DECODED { Err(std::io::Error::other("decodes to too much")) } else { Ok(out) }
}

/// The magic of the Java library's stream, its version and the oldest version that can read it.
const XERIAL: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

fn xerial_compress(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = XERIAL.to_vec();
    for block in plain.chunks(32 * 1024) {
        let packed = snap::raw::Encoder::new().compress_vec(block)?;
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

fn snappy_decompress(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let Some(mut rest) = packed.strip_prefix(&XERIAL[..8]).and_then(|rest| rest.get(8..)) else {
        return raw_snappy(packed);
    };
    let mut out = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (block, behind) = behind.split_at_checked(length).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.append(&mut raw_snappy(block)?);
        rest = behind;
    }
    if rest.is_empty() { Ok(out) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

fn raw_snappy(block: &[u8]) -> std::io::Result<Vec<u8>> {
    if snap::raw::decompress_len(block)? as u64 > MAX_DECODED {
        return Err(std::io::Error::other("decodes to too much"));
    }
    Ok(snap::raw::Decoder::new().decompress_vec(block)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_reads_what_it_wrote() {
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        for codec in Codec::ALL {
            let packed = codec.compress(&plain).expect("compresses");
            assert_eq!(codec.decompress(&packed).expect("decompresses"), plain, "{codec:?}");
            assert_eq!(Codec::from_id(codec.id()), Some(codec));
        }
        assert_eq!(Codec::from_id(5), None);
    }

    #[test]
    fn snappy_without_the_java_framing_is_read_too() {
        let packed = snap::raw::Encoder::new().compress_vec(b"bare").expect("compresses");
        assert_eq!(Codec::Snappy.decompress(&packed).expect("decompresses"), b"bare");
    }

    #[test]
    fn garbage_is_an_error_in_every_codec() {
        for codec in Codec::ALL.into_iter().skip(1) {
            assert!(codec.decompress(&[7; 40]).is_err(), "{codec:?}");
        }
    }
}
