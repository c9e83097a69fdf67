//! A checked reader over borrowed bytes, and the variable-length integers of the protocol.
//!
//! Every read says what it wanted and how much was left; none panics, none allocates.

/// Bytes ended early, or held something that the protocol does not allow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CursorError {
    /// Fewer bytes are left than the field needs.
    #[error("{what} needs {needed} bytes at byte {at}, {left} are left")]
    Short {
        /// The field.
        what: &'static str,
        /// Bytes the field needs.
        needed: usize,
        /// Where it starts, counted from the cursor's first byte.
        at: usize,
        /// Bytes that are left there.
        left: usize,
    },
    /// A length, count or variable-length integer that can't be.
    #[error("{what} is {value} at byte {at}")]
    Absurd {
        /// The field.
        what: &'static str,
        /// What it says.
        value: i64,
        /// Where it starts.
        at: usize,
    },
}

/// A position in borrowed bytes.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident -> $type:ty) => {
        $(#[$doc])*
        pub fn $name(&mut self, what: &'static str) -> Result<$type, CursorError> {
            self.array(what).map(<$type>::from_be_bytes)
        }
    };
}

impl<'a> Cursor<'a> {
    /// A cursor at the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read so far.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest().len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], CursorError> {
        match self.rest().split_at_checked(count) {
            Some((head, _)) => {
                self.at = self.at.saturating_add(count);
                Ok(head)
            }
            None => Err(CursorError::Short { what, needed: count, at: self.at, left: self.remaining() }),
        }
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CursorError> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.at = self.at.saturating_add(N);
                Ok(*chunk)
            }
            None => Err(CursorError::Short { what, needed: N, at: self.at, left: self.remaining() }),
        }
    }

    fixed!(
        /// INT8.
        i8 -> i8
    );
    fixed!(
        /// One byte.
        u8 -> u8
    );
    fixed!(
        /// INT16, big endian.
        i16 -> i16
    );
    fixed!(
        /// UINT16, big endian.
        u16 -> u16
    );
    fixed!(
        /// INT32, big endian.
        i32 -> i32
    );
    fixed!(
        /// UINT32, big endian.
        u32 -> u32
    );
    fixed!(
        /// INT64, big endian.
        i64 -> i64
    );

    /// A count of things that take at least `least` bytes each: never more than the bytes that are left can hold.
    pub fn count(&mut self, what: &'static str, least: usize) -> Result<usize, CursorError> {
        let at = self.at;
        let value = self.i32(what)?;
        let fits = usize::try_from(value).ok().filter(|count| count.saturating_mul(least.max(1)) <= self.remaining());
        fits.ok_or(CursorError::Absurd { what, value: i64::from(value), at })
    }

    /// STRING: an INT16 length and as many bytes, which need not be UTF-8.
    pub fn string(&mut self, what: &'static str) -> Result<&'a [u8], CursorError> {
        let at = self.at;
        let length = self.i16(what)?;
        match usize::try_from(length) {
            Ok(length) => self.take(what, length),
            Err(_) => Err(CursorError::Absurd { what, value: i64::from(length), at }),
        }
    }

    /// BYTES with an INT32 length; -1 is null.
    pub fn nullable_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, CursorError> {
        let at = self.at;
        let length = self.i32(what)?;
        match (length, usize::try_from(length)) {
            (-1, _) => Ok(None),
            (_, Ok(length)) => self.take(what, length).map(Some),
            (_, Err(_)) => Err(CursorError::Absurd { what, value: i64::from(length), at }),
        }
    }

    /// UNSIGNED_VARINT of at most `max` bytes: 7 bits a byte, least significant first.
    fn unsigned(&mut self, what: &'static str, max: u8) -> Result<u64, CursorError> {
        let start = self.at;
        let mut value = 0_u64;
        for (index, byte) in (0..max).zip(self.rest()) {
            self.at = self.at.saturating_add(1);
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(u32::from(index).saturating_mul(7)).unwrap_or_default();
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        if self.at.saturating_sub(start) < usize::from(max) {
            return Err(CursorError::Short { what, needed: 1, at: self.at, left: 0 });
        }
        Err(CursorError::Absurd { what, value: value.cast_signed(), at: start })
    }

    /// UNSIGNED_VARINT of 32 bits, as flexible message versions use it for lengths, counts and tags (KIP-482).
    pub fn unsigned_varint(&mut self, what: &'static str) -> Result<u32, CursorError> {
        let start = self.at;
        let value = self.unsigned(what, 5)?;
        u32::try_from(value).map_err(|_| CursorError::Absurd { what, value: value.cast_signed(), at: start })
    }

    /// VARINT: a zigzag-encoded 32-bit integer in at most five bytes.
    pub fn varint(&mut self, what: &'static str) -> Result<i32, CursorError> {
        let start = self.at;
        let value = unzigzag(self.unsigned(what, 5)?);
        i32::try_from(value).map_err(|_| CursorError::Absurd { what, value, at: start })
    }

    /// VARLONG: a zigzag-encoded 64-bit integer in at most ten bytes.
    pub fn varlong(&mut self, what: &'static str) -> Result<i64, CursorError> {
        Ok(unzigzag(self.unsigned(what, 10)?))
    }

    /// Bytes behind a VARINT length; -1 is null.
    pub fn varint_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, CursorError> {
        let at = self.at;
        let length = self.varint(what)?;
        match (length, usize::try_from(length)) {
            (-1, _) => Ok(None),
            (_, Ok(length)) => self.take(what, length).map(Some),
            (_, Err(_)) => Err(CursorError::Absurd { what, value: i64::from(length), at }),
        }
    }
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

/// Writes a VARINT or VARLONG: zigzag, then 7 bits a byte. The two encodings agree on every value they share.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`put_varint`] writes for `value`.
pub const fn varint_len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = 64 - (zigzag | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_read_says_what_it_wanted_and_moves_nothing() {
        let mut cursor = Cursor::new(&[0, 0, 1]);
        assert_eq!(cursor.i16("epoch"), Ok(0));
        let error = cursor.i32("partition").expect_err("one byte is left");
        assert_eq!(error.to_string(), "partition needs 4 bytes at byte 2, 1 are left");
        assert_eq!(cursor.remaining(), 1);
    }

    #[test]
    fn a_count_larger_than_the_bytes_left_is_refused() {
        let mut cursor = Cursor::new(&[0x7f, 0xff, 0xff, 0xff, 1, 2]);
        assert_eq!(
            cursor.count("topics", 1),
            Err(CursorError::Absurd { what: "topics", value: i64::from(i32::MAX), at: 0 })
        );
        let mut negative = Cursor::new(&[0xff, 0xff, 0xff, 0xff]);
        assert!(negative.count("topics", 1).is_err());
    }

    #[test]
    fn a_varint_that_never_ends_is_refused() {
        assert!(Cursor::new(&[0xff; 16]).varint("length").is_err());
        assert!(Cursor::new(&[0xff; 16]).varlong("timestamp").is_err());
    }

    proptest! {
        #[test]
        fn varints_read_back_as_written(value: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(Cursor::new(&out).varlong("value"), Ok(value));
            let narrow = Cursor::new(&out).varint("value");
            prop_assert_eq!(narrow.ok(), i32::try_from(value).ok());
        }
    }
}
