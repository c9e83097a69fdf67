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
    rest: &'a [u8],
    /// Bytes there were at first.
    size: usize,
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
        Self { rest: bytes, size: bytes.len() }
    }

    /// How many bytes were read so far.
    pub const fn position(&self) -> usize {
        self.size.saturating_sub(self.rest.len())
    }

    /// The bytes that are left.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is wrong with a field at this place that needs so many bytes. It takes a cursor by value, as `absurd` does: one
    /// whose address is never taken lives in registers.
    #[cold]
    fn short(self, what: &'static str, needed: usize) -> CursorError {
        CursorError::Short { what, needed, at: self.position(), left: self.remaining() }
    }

    /// What is wrong with a field at this place that says what can't be.
    #[cold]
    fn absurd(self, what: &'static str, value: impl Into<i64>) -> CursorError {
        CursorError::Absurd { what, value: value.into(), at: self.position() }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], CursorError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.clone().short(what, count))?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CursorError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(|| self.clone().short(what, N))?;
        self.rest = rest;
        Ok(*head)
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
        let from = self.clone();
        let value = self.i32(what)?;
        let fits = usize::try_from(value).ok().filter(|count| count.saturating_mul(least.max(1)) <= self.remaining());
        fits.ok_or_else(|| from.absurd(what, value))
    }

    /// STRING: an INT16 length and as many bytes, which need not be UTF-8.
    pub fn string(&mut self, what: &'static str) -> Result<&'a [u8], CursorError> {
        let from = self.clone();
        let length = self.i16(what)?;
        match usize::try_from(length) {
            Ok(length) => self.take(what, length),
            Err(_) => Err(from.absurd(what, length)),
        }
    }

    /// BYTES with an INT32 length; -1 is null.
    pub fn nullable_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, CursorError> {
        let from = self.clone();
        let length = self.i32(what)?;
        match (length, usize::try_from(length)) {
            (-1, _) => Ok(None),
            (_, Ok(length)) => self.take(what, length).map(Some),
            (_, Err(_)) => Err(from.absurd(what, length)),
        }
    }

    /// UNSIGNED_VARINT of at most `max` bytes: 7 bits a byte, least significant first.
    #[inline(always)]
    fn unsigned(&mut self, what: &'static str, max: u8) -> Result<u64, CursorError> {
        let (value, rest) = match *self.rest {
            // Most take one byte or two.
            [byte, ref rest @ ..] if byte < 0x80 => (u64::from(byte), rest),
            [low, high, ref rest @ ..] if high < 0x80 => (u64::from(low & 0x7f) | u64::from(high) << 7, rest),
            _ => self.clone().unsigned_of_many(what, max)?,
        };
        self.rest = rest;
        Ok(value)
    }

    fn unsigned_of_many(self, what: &'static str, max: u8) -> Result<(u64, &'a [u8]), CursorError> {
        let (mut value, mut rest) = (0_u64, self.rest);
        for shift in (0..).step_by(7).take(usize::from(max)) {
            let Some((&byte, behind)) = rest.split_first() else {
                return Err(CursorError::Short { what, needed: 1, at: self.size, left: 0 });
            };
            rest = behind;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte < 0x80 {
                return Ok((value, rest));
            }
        }
        Err(self.absurd(what, value.cast_signed()))
    }

    /// UNSIGNED_VARINT of 32 bits, as flexible message versions use it for lengths, counts and tags (KIP-482).
    pub fn unsigned_varint(&mut self, what: &'static str) -> Result<u32, CursorError> {
        let from = self.clone();
        let value = self.unsigned(what, 5)?;
        u32::try_from(value).map_err(|_| from.absurd(what, value.cast_signed()))
    }

    /// VARINT: a zigzag-encoded 32-bit integer in at most five bytes.
    #[inline]
    pub fn varint(&mut self, what: &'static str) -> Result<i32, CursorError> {
        let from = self.clone();
        let value = unzigzag(self.unsigned(what, 5)?);
        i32::try_from(value).map_err(|_| from.absurd(what, value))
    }

    /// VARLONG: a zigzag-encoded 64-bit integer in at most ten bytes.
    #[inline]
    pub fn varlong(&mut self, what: &'static str) -> Result<i64, CursorError> {
        Ok(unzigzag(self.unsigned(what, 10)?))
    }

    /// Bytes behind a VARINT length; -1 is null.
    #[inline]
    pub fn varint_bytes(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, CursorError> {
        let from = self.clone();
        let length = self.varint(what)?;
        match (length, usize::try_from(length)) {
            (-1, _) => Ok(None),
            (_, Ok(length)) => self.take(what, length).map(Some),
            (_, Err(_)) => Err(from.absurd(what, length)),
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
    fn a_varint_may_take_more_bytes_than_it_needs() {
        let read = |bytes: &[u8]| {
            let mut cursor = Cursor::new(bytes);
            (cursor.varint("length"), cursor.remaining())
        };
        assert_eq!(read(&[3, 9]), (Ok(-2), 1));
        assert_eq!(read(&[0x83, 0, 9]), (Ok(-2), 1));
        assert_eq!(read(&[0x83, 0x80, 0x80, 0x80, 0, 9]), (Ok(-2), 1));
        assert_eq!(read(&[0xff, 0x7f]), (Ok(-8_192), 0));
    }

    #[test]
    fn a_varint_that_is_cut_says_so_and_moves_nothing() {
        for bytes in [&[][..], &[0x80], &[0xff, 0xff], &[0x80; 4]] {
            let mut cursor = Cursor::new(bytes);
            let short = CursorError::Short { what: "length", needed: 1, at: bytes.len(), left: 0 };
            assert_eq!(cursor.varint("length"), Err(short));
            assert_eq!(cursor.position(), 0);
        }
        let absurd = CursorError::Absurd { what: "length", value: i64::from(u32::MAX), at: 1 };
        let mut cursor = Cursor::new(&[7, 0xfe, 0xff, 0xff, 0xff, 0x1f]);
        assert_eq!((cursor.u8("first"), cursor.varint("length")), (Ok(7), Err(absurd)));
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
