//! A message of the log, and what is in it.

use super::message::Message;
use crate::batch::codec::Codec;
use crate::batch::error::{BatchError, BatchErrorKind};
use crate::batch::records::{Content, Headers, Record};
use crate::kafka::{Cursor, Offset, Span};
use bytes::Bytes;

/// An entry of a log of the old formats: one message, or a compressed set of them. Its CRC is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageSet {
    bytes: Bytes,
    offset: Offset,
    magic: i8,
    codec: Codec,
}

impl MessageSet {
    /// The set that `bytes` is, no byte more or less.
    ///
    /// # Errors
    /// A CRC that is wrong, fields that can't be, a codec that the format does not have.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let offset = Offset(Cursor::new(&bytes).i64("offset").unwrap_or(-1));
        let whole = || {
            let mut cursor = Cursor::new(&bytes);
            let message = Message::read(&mut cursor)?;
            let codec = message.codec().map_err(BatchErrorKind::UnknownCodec)?;
            Ok((message.magic, codec))
        };
        match whole() {
            Ok((magic, codec)) => Ok(Self { bytes, offset, magic, codec }),
            Err(kind) => Err(BatchError { base_offset: offset, next_offset: Some(offset.plus(1)), kind }),
        }
    }

    /// The format's version, 0 or 1.
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// The offset of the last message.
    pub fn last_offset(&self) -> Offset {
        self.offset
    }

    /// The offset behind the set: where reading goes on.
    pub fn next_offset(&self) -> Offset {
        self.offset.plus(1)
    }

    /// Whether it is a single message, which is not compressed.
    pub fn is_plain(&self) -> bool {
        self.codec == Codec::None
    }

    /// Bytes of the whole set.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The codec of the messages.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decompresses the messages into at most `cap` bytes; where there is no compression nothing is copied.
    ///
    /// # Errors
    /// Bytes that are none of the codec's, more than `cap` bytes of messages, messages that are not of a set.
    pub(crate) fn open(&self, cap: usize) -> Result<OpenSet, BatchError> {
        self.read(cap).map_err(|kind| self.failed(kind))
    }

    /// An error about this set. Where it begins is not known without opening it.
    fn failed(&self, kind: BatchErrorKind) -> BatchError {
        kind.of(Span { start: self.offset, end: self.next_offset() })
    }

    fn read(&self, cap: usize) -> Result<OpenSet, BatchErrorKind> {
        if self.codec == Codec::None {
            return Ok(OpenSet { set: self.clone(), messages: self.bytes.clone(), base: Offset(0), time: None });
        }
        let outer = Message::read(&mut Cursor::new(&self.bytes))?;
        let packed = self.bytes.slice_ref(outer.value.unwrap_or_default());
        let messages = self.codec.decode_legacy(self.magic, packed, cap)?;
        let mut cursor = Cursor::new(&messages);
        let mut last = None;
        let mut index = 0_usize;
        while !cursor.is_empty() {
            let inner = Message::read(&mut cursor).map_err(|kind| inside(index, kind))?;
            if inner.magic != self.magic {
                return Err(BatchErrorKind::Nested("are of another format than the set"));
            }
            if inner.codec() != Ok(Codec::None) {
                return Err(BatchErrorKind::Nested("are compressed once more"));
            }
            if last.is_some_and(|last| inner.offset <= last) {
                return Err(BatchErrorKind::Nested("are not in the order of their offsets"));
            }
            last = Some(inner.offset);
            index = index.saturating_add(1);
        }
        let last = last.ok_or(BatchErrorKind::Nested("are missing"))?;
        // Offsets of magic 0 are absolute; those of magic 1 are made absolute by the last one's (KIP-31).
        let base = if self.magic == 1 { Offset(self.offset.0.wrapping_sub(last.0)) } else { Offset(0) };
        let time = outer.is_append_time().then_some(outer.timestamp);
        Ok(OpenSet { set: self.clone(), messages, base, time })
    }
}

fn inside(index: usize, kind: BatchErrorKind) -> BatchErrorKind {
    match kind {
        BatchErrorKind::Header(cause) => BatchErrorKind::Message { index, cause },
        kind => kind,
    }
}

/// A set whose messages are decompressed.
#[derive(Clone, Debug)]
pub(crate) struct OpenSet {
    set: MessageSet,
    messages: Bytes,
    /// What the messages' offsets count from.
    base: Offset,
    /// The timestamp of all messages where the broker stamped the set.
    time: Option<i64>,
}

impl OpenSet {
    /// The messages in their order, as records without headers.
    pub(crate) fn messages(&self) -> Messages<'_> {
        Messages { set: self, cursor: Cursor::new(&self.messages), done: false }
    }
}

/// The iterator that [`OpenSet::messages`] returns.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    set: &'a OpenSet,
    cursor: Cursor<'a>,
    done: bool,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.cursor.is_empty() {
            return None;
        }
        let read = Message::read(&mut self.cursor).map_err(|kind| self.set.set.failed(kind));
        self.done = read.is_err();
        Some(read.map(|message| Record {
            attributes: 0,
            offset: self.set.base.plus(message.offset.0),
            timestamp: self.set.time.unwrap_or(message.timestamp),
            key: message.key,
            value: message.value,
            headers: Headers::none(),
            content: Content::KeyAndValue,
        }))
    }
}
