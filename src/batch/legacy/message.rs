//! One message: offset, size, CRC-32, magic, attributes, timestamp (magic 1), key, value.

use crate::batch::codec::Codec;
use crate::batch::error::BatchErrorKind;
use crate::kafka::{Cursor, CursorError, Offset};
use flate2::Crc;

/// The attributes' bits that hold the codec. Formats before record batches know the first four.
const CODEC: i8 = 0x07;

/// Whether the timestamp is that of the append; magic 1 only.
const APPEND_TIME: i8 = 0x08;

/// A message as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) offset: Offset,
    /// 0 or 1.
    pub(super) magic: i8,
    pub(super) attributes: i8,
    /// In ms since 1970; -1 in magic 0, which has none.
    pub(super) timestamp: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads the message at `cursor` and checks its CRC, which covers everything behind itself.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, BatchErrorKind> {
        let offset = Offset(cursor.i64("offset")?);
        let at = cursor.position();
        let size = cursor.i32("message size")?;
        let absurd = CursorError::Absurd { what: "message size", value: i64::from(size), at };
        let bytes = cursor.take("message", usize::try_from(size).map_err(|_| absurd)?)?;
        let mut cursor = Cursor::new(bytes);
        let stored = cursor.u32("crc")?;
        let mut crc = Crc::new();
        crc.update(cursor.rest());
        if crc.sum() != stored {
            return Err(BatchErrorKind::Crc { stored, computed: crc.sum() });
        }
        let magic = cursor.i8("magic")?;
        if !matches!(magic, 0 | 1) {
            return Err(BatchErrorKind::Magic(magic));
        }
        let attributes = cursor.i8("attributes")?;
        let timestamp = if magic == 1 { cursor.i64("timestamp")? } else { -1 };
        let key = cursor.nullable_bytes("key")?;
        let value = cursor.nullable_bytes("value")?;
        if !cursor.is_empty() {
            let value = i64::from(size);
            return Err(CursorError::Absurd { what: "message size", value, at }.into());
        }
        Ok(Self { offset, magic, attributes, timestamp, key, value })
    }

    /// The codec of the value; `Err` carries bits that stand for none that the format has.
    pub(super) fn codec(&self) -> Result<Codec, i16> {
        let bits = i16::from(self.attributes & CODEC);
        Codec::from_bits(bits).filter(|codec| *codec != Codec::Zstd).ok_or(bits)
    }

    pub(super) const fn is_append_time(&self) -> bool {
        self.magic == 1 && self.attributes & APPEND_TIME != 0
    }
}
