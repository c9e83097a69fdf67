//! The record bytes of a Fetch answer, cut into batches without copying any.

use crate::batch::codec::Codec;
use crate::batch::error::{BatchError, BatchErrorKind};
use crate::batch::header::{BatchHeader, CRC_FROM, HEADER_SIZE, LENGTH_PREFIX, MAGIC_AT};
use crate::batch::legacy::MessageSet;
use crate::batch::sums::Summed;
use crate::kafka::{Cursor, CursorError, Offset};
use bytes::{Buf, Bytes};

/// The least a length field can say: the 14 bytes of a message of magic 0 without key and value.
const LEAST_LENGTH: i32 = 14;

/// A record batch of magic 2 as it lies in the log: of the length it says, with a header that makes sense, and with the
/// CRC that its bytes make. What changed on disk or on the way never becomes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawBatch {
    bytes: Bytes,
    header: BatchHeader,
}

impl RawBatch {
    /// The batch that `bytes` is, no byte more or less.
    ///
    /// # Errors
    /// A header that [`BatchHeader::parse`] refuses, a batch length that does not end where `bytes` end, or a wrong CRC.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let sums = Summed::from(bytes.clone());
        Self::checked(bytes, &sums)
    }

    /// The same, by the sums that were taken while the bytes came.
    fn checked(bytes: Bytes, sums: &Summed) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        if header.size() != bytes.len() {
            let value = i64::from(header.length);
            let absurd = CursorError::Absurd { what: "batchLength", value, at: 8 };
            return Err(BatchErrorKind::Header(absurd).of(header.span()));
        }
        let stored = header.crc;
        match sums.crc(bytes.get(CRC_FROM..).unwrap_or_default()) {
            computed if computed == stored => Ok(Self { bytes, header }),
            computed => Err(BatchErrorKind::Crc { stored, computed }.of(header.span())),
        }
    }

    /// A batch that changed since it was parsed.
    #[cfg(test)]
    pub(super) fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.bytes.to_vec();
        change(&mut bytes);
        Self { bytes: bytes.into(), header: self.header }
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// All bytes, header included.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the header: the records, compressed or not, as a slice of the same memory.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_SIZE.min(self.bytes.len())..)
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// Codec bits that stand for none that Kafka has.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        self.header.codec().map_err(|bits| BatchErrorKind::UnknownCodec(bits).of(self.header.span()))
    }
}

/// One of the things that follow each other in the record bytes of a Fetch answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A whole batch.
    Batch(RawBatch),
    /// A whole message set of a format before magic 2: newer brokers send what older ones wrote as it lies on disk.
    Set(MessageSet),
    /// The answer ends inside of this one; it was cut where the bytes that were asked for ended. Always the last.
    Partial {
        /// How many bytes it takes to get it whole, as far as it says so.
        size: Option<usize>,
        /// Where it begins, as far as that is there to see: a set of an old format says where it ends.
        base_offset: Option<Offset>,
    },
}

/// Cuts the record bytes of one partition of a Fetch answer. The first batch may begin before the offset that was
/// asked for, the last may be cut.
pub fn batches(records: Bytes) -> Batches {
    let sums = Summed::from(records.clone());
    batches_of(records, sums)
}

/// The same, where the answer was summed up while it came: `sums` are those of the frame that `records` lie in.
pub fn batches_of(records: Bytes, sums: Summed) -> Batches {
    Batches { rest: records, sums }
}

/// The iterator that [`batches`] returns. Behind a batch that makes no sense it goes on with the next one, as long as
/// the broken one says where that is.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    sums: Summed,
}

impl Batches {
    /// Bytes that were not cut yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The batch that comes next, if it is whole and its header makes sense.
    pub fn ahead(&self) -> Option<Ahead<'_>> {
        let header = BatchHeader::parse(&self.rest).ok()?;
        let bytes = self.rest.get(..header.size())?;
        Some(Ahead { header, bytes, sums: &self.sums })
    }

    /// Leaves out the next `bytes` bytes.
    pub fn pass_over(&mut self, bytes: usize) {
        self.rest.advance(bytes.min(self.rest.len()));
    }

    fn cut(&mut self) -> Result<Piece, BatchError> {
        let mut cursor = Cursor::new(&self.rest);
        let (Ok(base_offset), Ok(length)) = (cursor.i64("baseOffset"), cursor.i32("batchLength")) else {
            self.rest.clear();
            return Ok(Piece::Partial { size: None, base_offset: None });
        };
        let base_offset = Offset(base_offset);
        let Some(size) = whole_size(length) else {
            self.rest.clear();
            let absurd = CursorError::Absurd { what: "batchLength", value: i64::from(length), at: 8 };
            return Err(BatchErrorKind::Header(absurd).at(base_offset));
        };
        let magic = self.rest.get(MAGIC_AT).map(|magic| magic.cast_signed());
        if self.rest.len() < size {
            self.rest.clear();
            return Ok(Piece::Partial { size: Some(size), base_offset: (magic == Some(2)).then_some(base_offset) });
        }
        let bytes = self.rest.split_to(size);
        match magic {
            Some(0 | 1) => MessageSet::parse(bytes).map(Piece::Set),
            _ => RawBatch::checked(bytes, &self.sums).map(Piece::Batch),
        }
    }
}

/// A batch where it lies in an answer, before it is cut from it: thousands of tiny ones are looked at and copied, and to
/// share their memory would cost as much as all else that is done with them.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
    sums: &'a Summed,
}

impl<'a> Ahead<'a> {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Whether its bytes make the CRC that the header says: [`Batches::next`] does not take it for a batch otherwise.
    pub fn is_sound(&self) -> bool {
        self.sums.crc(self.bytes.get(CRC_FROM..).unwrap_or_default()) == self.header.crc
    }

    /// What follows the header.
    pub(super) fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER_SIZE..).unwrap_or_default()
    }
}

/// The size of what has this length field, itself and the offset before it included.
fn whole_size(length: i32) -> Option<usize> {
    let length = usize::try_from(length).ok().filter(|_| length >= LEAST_LENGTH)?;
    length.checked_add(LENGTH_PREFIX)
}

impl Iterator for Batches {
    type Item = Result<Piece, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.cut())
    }
}

impl std::iter::FusedIterator for Batches {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sums::Summing;
    use crate::batch::testing::{batch, some_models};
    use proptest::prelude::*;

    fn cut(bytes: &[u8]) -> Vec<Result<Piece, BatchError>> {
        batches(Bytes::copy_from_slice(bytes)).collect()
    }

    #[test]
    fn batches_are_slices_of_the_answer_and_a_cut_tail_says_what_it_needs() {
        let one = batch(&some_models(), 10, Codec::None);
        let two = batch(&some_models(), 13, Codec::Gzip);
        let answer = Bytes::from([&one[..], &two[..], &one[..one.len() - 1]].concat());
        let pieces: Vec<Piece> = batches(answer.clone()).map(|piece| piece.expect("sound")).collect();
        let [Piece::Batch(first), Piece::Batch(second), Piece::Partial { size, base_offset }] = &pieces[..] else {
            panic!("{pieces:?}");
        };
        assert_eq!((*size, *base_offset), (Some(one.len()), Some(Offset(10))));
        assert_eq!((&first.bytes()[..], &second.bytes()[..]), (&one[..], &two[..]));
        assert_eq!(first.bytes().as_ptr(), answer.as_ptr());
        assert_eq!(second.header().base_offset, Offset(13));
    }

    #[test]
    fn a_tail_of_a_few_bytes_does_not_know_its_size() {
        assert_eq!(cut(&[0; 11]), [Ok(Piece::Partial { size: None, base_offset: None })]);
        assert_eq!(cut(&[]), []);
    }

    #[test]
    fn a_broken_batch_is_stepped_over_where_it_says_how_long_it_is() {
        let sound = batch(&some_models(), 10, Codec::None);
        let mut broken = sound.clone();
        broken[MAGIC_AT] = 9;
        let pieces = cut(&[broken, sound].concat());
        assert_eq!(pieces[0], Err(BatchErrorKind::Magic(9).at(Offset(10))));
        assert!(matches!(pieces[1], Ok(Piece::Batch(_))));
        let endless = [&[0; 8][..], &[0xff; 60][..]].concat();
        assert_eq!(cut(&endless).len(), 1, "nothing is known behind a length that can't be");
    }

    #[test]
    fn bytes_that_changed_are_no_batch_and_still_say_where_the_next_one_is() {
        let sound = batch(&some_models(), 10, Codec::None);
        let mut changed = sound.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        let pieces = cut(&[changed, sound].concat());
        let error = pieces[0].as_ref().expect_err("a wrong CRC");
        assert!(matches!(error.kind, BatchErrorKind::Crc { .. }), "{error}");
        assert_eq!((error.base_offset, error.next_offset), (Offset(10), Some(Offset(13))));
        assert!(matches!(pieces[1], Ok(Piece::Batch(_))));
    }

    #[test]
    fn bytes_that_changed_in_what_was_summed_up_are_no_batch_either() {
        let mut models = some_models();
        models[0].value = Some(vec![7; 300_000]);
        let sound = batch(&models, 10, Codec::None);
        for change in [None, Some(70), Some(150_000), Some(sound.len() - 1)] {
            let mut answer = [&[0; 5_000], &sound[..]].concat();
            change.into_iter().for_each(|at| answer[5_000 + at] ^= 1);
            let answer = Bytes::from(answer);
            let mut summing = Summing::default();
            summing.came(&answer);
            let pieces: Vec<_> = batches_of(answer.slice(5_000..), summing.done(answer)).collect();
            assert_eq!((pieces.len(), pieces[0].is_ok()), (1, change.is_none()), "{change:?}");
        }
    }

    #[test]
    fn what_lies_ahead_is_the_batch_that_comes_next_if_it_is_whole() {
        let (one, two) = (batch(&some_models(), 10, Codec::None), batch(&some_models(), 13, Codec::Gzip));
        let mut answer = batches([&one[..], &two[..], &one[..one.len() - 1]].concat().into());
        for bytes in [one, two] {
            let ahead = answer.ahead().expect("a whole one");
            assert_eq!((ahead.header(), ahead.is_sound()), (&BatchHeader::parse(&bytes).expect("sound"), true));
            assert_eq!(ahead.payload(), &bytes[HEADER_SIZE..]);
            answer.pass_over(bytes.len());
        }
        assert!(answer.ahead().is_none());
        answer.pass_over(usize::MAX);
        assert_eq!(answer.left(), 0);
    }

    #[test]
    fn a_batch_must_end_where_it_says() {
        let mut bytes = batch(&some_models(), 10, Codec::None);
        bytes.push(0);
        assert!(RawBatch::parse(bytes.into()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_to_an_end(
            lengths in prop::collection::vec((0_u8..90, any::<[u8; 16]>()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = Vec::new();
            for (length, rest) in lengths {
                bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, length]);
                bytes.extend(rest.iter().cycle().take(usize::from(length)));
            }
            bytes.extend(noise);
            prop_assert!(cut(&bytes).len() <= bytes.len() / (LENGTH_PREFIX + 14) + 1);
        }
    }
}
