//! Reads an answer's fields in either of the protocol's two encodings: the classic one, and the flexible one with
//! compact lengths and tagged fields (KIP-482).

use super::WireError;
use crate::kafka::{Cursor, CursorError, ErrorCode, TopicId};
use std::time::Duration;

/// A checked reader that knows which encoding it reads.
pub(super) struct Reader<'a> {
    cursor: Cursor<'a>,
    flexible: bool,
}

type Read<T> = Result<T, WireError>;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { cursor: Cursor::new(bytes), flexible }
    }

    pub(super) const fn position(&self) -> usize {
        self.cursor.position()
    }

    pub(super) fn bool(&mut self, what: &'static str) -> Read<bool> {
        Ok(self.cursor.u8(what)? != 0)
    }

    pub(super) fn i8(&mut self, what: &'static str) -> Read<i8> {
        Ok(self.cursor.i8(what)?)
    }

    pub(super) fn i16(&mut self, what: &'static str) -> Read<i16> {
        Ok(self.cursor.i16(what)?)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Read<i32> {
        Ok(self.cursor.i32(what)?)
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Read<i64> {
        Ok(self.cursor.i64(what)?)
    }

    /// ERROR_CODE.
    pub(super) fn code(&mut self) -> Read<ErrorCode> {
        Ok(ErrorCode(self.cursor.i16("error_code")?))
    }

    /// `throttle_time_ms`; a negative one counts as none.
    pub(super) fn throttle(&mut self) -> Read<Duration> {
        let milliseconds = self.cursor.i32("throttle_time_ms")?;
        Ok(Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default()))
    }

    /// A topic id; `None` for the all-zero one.
    pub(super) fn topic_id(&mut self) -> Read<Option<TopicId>> {
        Ok(TopicId::known(self.cursor.array("topic_id")?))
    }

    /// STRING.
    pub(super) fn text(&mut self, what: &'static str) -> Read<&'a str> {
        self.nullable_text(what)?.ok_or_else(|| self.null(what))
    }

    /// NULLABLE_STRING.
    pub(super) fn nullable_text(&mut self, what: &'static str) -> Read<Option<&'a str>> {
        let length = if self.flexible { self.compact(what)? } else { self.length16(what)? };
        let Some(length) = length else { return Ok(None) };
        let bytes = self.cursor.take(what, length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| WireError::NotText { what })
    }

    /// NULLABLE_BYTES.
    pub(super) fn nullable_bytes(&mut self, what: &'static str) -> Read<Option<&'a [u8]>> {
        let length = if self.flexible { self.compact(what)? } else { self.length32(what)? };
        length.map(|length| self.cursor.take(what, length)).transpose().map_err(WireError::from)
    }

    /// An array; null counts as empty. The vector grows as items are read, so a false count reserves nothing.
    pub(super) fn array<T>(&mut self, what: &'static str, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut items = Vec::new();
        self.each(what, |reader| {
            items.push(item(reader)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// An array whose items need no vector of their own; null counts as empty.
    pub(super) fn each(&mut self, what: &'static str, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        let at = self.cursor.position();
        let count = if self.flexible { self.compact(what)? } else { self.length32(what)? }.unwrap_or(0);
        if count > self.cursor.remaining() {
            let value = i64::try_from(count).unwrap_or(i64::MAX);
            return Err(CursorError::Absurd { what, value, at }.into());
        }
        (0..count).try_for_each(|_| item(self))
    }

    /// An array of INT32.
    pub(super) fn numbers<T>(&mut self, what: &'static str, make: impl Fn(i32) -> T) -> Read<Vec<T>> {
        self.array(what, |reader| reader.i32(what).map(&make))
    }

    /// Whether a nullable structure follows: one byte, negative for null.
    pub(super) fn present(&mut self, what: &'static str) -> Read<bool> {
        Ok(self.cursor.i8(what)? >= 0)
    }

    /// Steps over the tagged fields that end a flexible structure; nothing in the classic encoding.
    pub(super) fn tags(&mut self) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.cursor.unsigned_varint("tagged fields")?;
        for _ in 0..count {
            self.cursor.unsigned_varint("tag")?;
            let length = self.cursor.unsigned_varint("tagged field's length")?;
            self.cursor.take("tagged field", usize::try_from(length).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    fn null(&self, what: &'static str) -> WireError {
        CursorError::Absurd { what, value: -1, at: self.cursor.position() }.into()
    }

    /// The length in front of compact strings, bytes and arrays: one more than it says, 0 is null.
    fn compact(&mut self, what: &'static str) -> Result<Option<usize>, CursorError> {
        let raw = self.cursor.unsigned_varint(what)?;
        Ok(raw.checked_sub(1).map(|length| usize::try_from(length).unwrap_or(usize::MAX)))
    }

    fn length16(&mut self, what: &'static str) -> Result<Option<usize>, CursorError> {
        let at = self.cursor.position();
        let value = i32::from(self.cursor.i16(what)?);
        length(what, value, at)
    }

    fn length32(&mut self, what: &'static str) -> Result<Option<usize>, CursorError> {
        let at = self.cursor.position();
        let value = self.cursor.i32(what)?;
        length(what, value, at)
    }
}

fn length(what: &'static str, value: i32, at: usize) -> Result<Option<usize>, CursorError> {
    match (value, usize::try_from(value)) {
        (-1, _) => Ok(None),
        (_, Ok(length)) => Ok(Some(length)),
        (_, Err(_)) => Err(CursorError::Absurd { what, value: i64::from(value), at }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_a_string_are_read() {
        assert_eq!(Reader::new(&[0, 2, b'h', b'i'], false).text("name"), Ok("hi"));
        assert_eq!(Reader::new(&[3, b'h', b'i'], true).text("name"), Ok("hi"));
        assert_eq!(Reader::new(&[0xff, 0xff], false).nullable_text("name"), Ok(None));
        assert_eq!(Reader::new(&[0], true).nullable_text("name"), Ok(None));
        assert!(Reader::new(&[0], true).text("name").is_err(), "null where a string must be");
        assert_eq!(Reader::new(&[0, 1, 0xff], false).text("name"), Err(WireError::NotText { what: "name" }));
    }

    #[test]
    fn a_count_beyond_the_bytes_left_is_refused_before_anything_is_reserved() {
        for (bytes, flexible) in
            [(&[0x7f, 0xff, 0xff, 0xff, 0][..], false), (&[0xff, 0xff, 0xff, 0xff, 0x0f][..], true)]
        {
            let error = Reader::new(bytes, flexible).array("topics", |reader| reader.i8("one"));
            assert!(error.is_err_and(|error| error.to_string().contains("topics is ")));
        }
    }

    #[test]
    fn tagged_fields_are_stepped_over() {
        let mut reader = Reader::new(&[2, 0, 1, 9, 5, 2, 9, 9, 42], true);
        assert_eq!(reader.tags(), Ok(()));
        assert_eq!(reader.i8("next"), Ok(42));
        assert!(Reader::new(&[1, 0, 9, 1], true).tags().is_err(), "a tagged field longer than the answer");
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], true).tags().is_err(), "tags without end");
    }
}
