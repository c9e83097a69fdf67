//! The compression codecs of record batches, as Kafka frames them.
//!
//! Decompression is bounded by a cap that the caller gives, and memory grows with what is really produced: no length that
//! a batch claims is believed before its bytes are there.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};

/// A codec of the record batch attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Codec {
    /// Not compressed.
    None,
    /// gzip (RFC 1952), perhaps of several members.
    Gzip,
    /// Snappy: in the framing of xerial's Java library, or one raw block.
    Snappy,
    /// An LZ4 frame.
    Lz4,
    /// Zstandard (RFC 8878, KIP-110).
    Zstd,
}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number in the attributes.
    pub const fn from_bits(bits: i16) -> Option<Self> {
        match bits {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number in the attributes.
    pub const fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Its name in Kafka's configuration (`compression.type`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses into at most `cap` bytes; without compression `bytes` are returned as they are, not copied.
    ///
    /// # Errors
    /// Bytes that are none of this codec's, or that hold more than `cap` bytes.
    pub fn decode(self, bytes: Bytes, cap: usize) -> Result<Bytes, CodecError> {
        let decoded = match self {
            Self::None => return Ok(bytes),
            Self::Gzip => gzip::decode(&bytes, cap),
            Self::Snappy => snappy::decode(&bytes, cap),
            Self::Lz4 => lz4::decode(&bytes, cap),
            Self::Zstd => zstd::decode(&bytes, cap),
        };
        decoded.map(Bytes::from).map_err(|fault| CodecError { codec: self, fault })
    }

    /// Decompresses the value of a message of a format before record batches (magic 0 or 1). Clients of magic 0 computed
    /// the checksum of an LZ4 frame's header over other bytes than the LZ4 format says (KAFKA-3160).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub(super) fn decode_legacy(self, magic: i8, bytes: Bytes, cap: usize) -> Result<Bytes, CodecError> {
        match (self, magic) {
            (Self::Lz4, 0) => self.decode(lz4::with_header_checksum(&bytes).into(), cap),
            _ => self.decode(bytes, cap),
        }
    }

    /// Compresses, at the level that Kafka's own producer takes by default.
    ///
    /// # Errors
    /// The library gave up.
    pub fn encode(self, bytes: Vec<u8>) -> Result<Vec<u8>, CodecError> {
        let encoded = match self {
            Self::None => return Ok(bytes),
            Self::Gzip => gzip::encode(&bytes),
            Self::Snappy => snappy::encode(&bytes),
            Self::Lz4 => lz4::encode(&bytes),
            Self::Zstd => Ok(zstd::encode(&bytes)),
        };
        encoded.map_err(|fault| CodecError { codec: self, fault })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of codecs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodecSet(u8);

impl CodecSet {
    /// Every codec.
    pub const ALL: Self = Self(0b1_1111);

    /// The set without `codec`.
    #[must_use]
    pub const fn without(self, codec: Codec) -> Self {
        Self(self.0 & !Self::bit(codec))
    }

    /// Whether `codec` belongs to the set.
    pub const fn contains(self, codec: Codec) -> bool {
        self.0 & Self::bit(codec) != 0
    }

    const fn bit(codec: Codec) -> u8 {
        1 << codec.bits()
    }
}

/// Records that can't be decompressed or compressed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{codec}: {fault}")]
pub struct CodecError {
    /// The codec.
    pub codec: Codec,
    /// What went wrong.
    pub fault: CodecFault,
}

/// What went wrong in a codec.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecFault {
    /// The bytes hold more than may be decompressed.
    #[error("its records take more than {cap} bytes when decompressed")]
    TooLarge {
        /// The cap, in bytes.
        cap: usize,
    },
    /// The bytes are none of the codec's, in the words of the library.
    #[error("{0}")]
    Malformed(String),
}

impl CodecFault {
    fn malformed(error: impl fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// All that `reader` has to give, if it is no more than `cap` bytes.
fn read_all(reader: impl Read, cap: usize) -> Result<Vec<u8>, CodecFault> {
    let mut out = Vec::new();
    let one_more = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(one_more).read_to_end(&mut out).map_err(CodecFault::malformed)?;
    if out.len() > cap { Err(CodecFault::TooLarge { cap }) } else { Ok(out) }
}

/// What a writer into memory has to say when it fails.
impl From<io::Error> for CodecFault {
    fn from(error: io::Error) -> Self {
        Self::malformed(error)
    }
}

#[cfg(test)]
mod tests;
