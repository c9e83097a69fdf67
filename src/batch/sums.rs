//! The CRC-32C of the blocks of a frame, taken while its bytes come.
//!
//! By the time that a large batch is whole, most of it has left the caches of the processor, and reading it once more takes
//! longer than anything else that is done with it. So whoever reads a frame sums up each block as it comes, and the
//! checksum of a batch is combined from those of the blocks that lie inside of it.

use std::sync::Arc;

use bytes::Bytes;

use super::crc::{Tail, append, crc32c};

/// Bytes of a block. What a batch has of the blocks at its ends is read again.
const BLOCK: usize = 32 << 10;

/// The sums of a frame that is still coming.
#[derive(Debug, Default)]
pub struct Summing {
    blocks: Vec<u32>,
}

impl Summing {
    /// So much of the frame has come, from its beginning on.
    pub fn came(&mut self, frame: &[u8]) {
        let blocks = frame.chunks_exact(BLOCK).skip(self.blocks.len());
        self.blocks.extend(blocks.map(crc32c));
    }

    /// The frame is whole.
    pub fn done(self, frame: Bytes) -> Summed {
        Summed { frame, blocks: self.blocks.into() }
    }
}

/// Bytes, with the CRC-32C of each block as far as that was taken; [`From`] bytes without any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summed {
    /// It is kept as long as the sums are: what lies at its addresses is part of it.
    frame: Bytes,
    blocks: Arc<[u32]>,
}

impl From<Bytes> for Summed {
    fn from(frame: Bytes) -> Self {
        Self { frame, blocks: Arc::default() }
    }
}

impl Summed {
    /// All of them.
    pub fn bytes(&self) -> &Bytes {
        &self.frame
    }

    /// The CRC-32C of `part`, which need not be a slice of these bytes, but is read whole if it is not.
    pub(super) fn crc(&self, part: &[u8]) -> u32 {
        // No block fits into a tiny batch.
        if part.len() < BLOCK {
            return crc32c(part);
        }
        self.combined(part).unwrap_or_else(|| crc32c(part))
    }

    /// From the blocks inside of `part`, if there are any.
    fn combined(&self, part: &[u8]) -> Option<u32> {
        let begin = part.as_ptr().addr().checked_sub(self.frame.as_ptr().addr())?;
        let end = begin.checked_add(part.len()).filter(|end| *end <= self.frame.len())?;
        let (first, behind) = (begin.div_ceil(BLOCK), end / BLOCK);
        let blocks = self.blocks.get(first..behind).filter(|blocks| !blocks.is_empty())?;
        let head = first.checked_mul(BLOCK)?.checked_sub(begin)?;
        let tail = behind.checked_mul(BLOCK)?.checked_sub(begin)?;
        let crc = crc32c(part.get(..head)?);
        let crc = blocks.iter().fold(crc, |crc, block| BEHIND.carry(crc) ^ block);
        Some(append(crc, part.get(tail..)?))
    }
}

/// A block behind what has a sum.
static BEHIND: std::sync::LazyLock<Tail> = std::sync::LazyLock::new(|| Tail::of(BLOCK as u32));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame that comes in pieces of these sizes.
    fn summed(frame: &Bytes, pieces: &[usize]) -> Summed {
        let mut summing = Summing::default();
        let mut come = 0;
        for piece in pieces.iter().chain([&frame.len()]) {
            come = frame.len().min(come + piece);
            summing.came(&frame[..come]);
        }
        summing.done(frame.clone())
    }

    fn frame(blocks: usize, more: usize) -> Bytes {
        (0..blocks * BLOCK + more).map(|n| ((n * n) >> 7) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_sum_of_any_part_is_what_its_bytes_make(
            (blocks, more) in (0_usize..5, 0..BLOCK),
            pieces in prop::collection::vec(0..2 * BLOCK, 0..5),
            (from, to) in (0.0..1.0, 0.0..1.0),
        ) {
            let frame = frame(blocks, more);
            let at = |share: f64| (share * frame.len() as f64) as usize;
            let part = &frame[at(from).min(at(to))..at(from).max(at(to))];
            prop_assert_eq!(summed(&frame, &pieces).crc(part), crc32c::crc32c(part));
        }
    }

    #[test]
    fn whole_blocks_are_not_read_again() {
        let whole = frame(4, 10);
        let lies = Summed { frame: whole.clone(), blocks: [1, 2, 3, 4].into() };
        for (from, to, is_read) in [
            (0, BLOCK, false),
            (1, BLOCK, true),
            (1, 2 * BLOCK - 1, true),
            (1, 2 * BLOCK, false),
            (BLOCK, 2 * BLOCK - 1, true),
            (3 * BLOCK, whole.len(), false),
            (4 * BLOCK, whole.len(), true),
            (0, 0, true),
        ] {
            let part = &whole[from..to];
            assert_eq!(lies.crc(part) == crc32c::crc32c(part), is_read, "{from}..{to}");
        }
    }

    #[test]
    fn what_is_no_part_is_read() {
        let lies = Summed { frame: frame(2, 0), blocks: [1, 2].into() };
        let other = frame(2, 0);
        assert_eq!(lies.crc(&other), crc32c::crc32c(&other));
        let inner = Summed { frame: lies.frame.slice(..BLOCK), blocks: [1].into() };
        assert_eq!(inner.crc(&lies.frame), crc32c::crc32c(&other), "it only begins like one");
    }
}
