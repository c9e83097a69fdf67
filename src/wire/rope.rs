//! Bytes in several parts, written without being joined.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// A sequence of byte slices with their total length. Reading it through [`Buf`] consumes it, so that a vectored write
/// can take it up where the last one stopped.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Rope {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Rope {
    /// A rope without any bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `part` behind the last one; an empty part is left out.
    pub fn push(&mut self, part: impl Into<Bytes>) {
        let part = part.into();
        if !part.is_empty() {
            self.length = self.length.saturating_add(part.len());
            self.parts.push_back(part);
        }
    }

    /// Adds `part` in front of the first one.
    pub fn push_front(&mut self, part: impl Into<Bytes>) {
        let part = part.into();
        if !part.is_empty() {
            self.length = self.length.saturating_add(part.len());
            self.parts.push_front(part);
        }
    }

    /// Adds all parts of `other`; no byte is copied.
    pub fn append(&mut self, other: Self) {
        self.length = self.length.saturating_add(other.length);
        self.parts.extend(other.parts);
    }

    /// Bytes in all parts together.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The parts in order.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter()
    }

    /// All bytes joined into one vector: a copy, for tests and small requests.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut joined = Vec::with_capacity(self.length);
        self.parts.iter().for_each(|part| joined.extend_from_slice(part));
        joined
    }
}

impl<T: Into<Bytes>> From<T> for Rope {
    fn from(part: T) -> Self {
        let mut rope = Self::new();
        rope.push(part);
        rope
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn advance(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let Some(part) = self.parts.front_mut() else { return };
            let step = left.min(part.len());
            part.advance(step);
            self.length = self.length.saturating_sub(step);
            left = left.saturating_sub(step);
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.len().min(self.parts.len());
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rope_is_written_across_its_parts_and_keeps_its_length() {
        let mut rope = Rope::from(&b"head"[..]);
        rope.push(&b""[..]);
        rope.push(&b"body"[..]);
        rope.push_front(&b"len"[..]);
        assert_eq!((rope.len(), rope.parts().count()), (11, 3));
        rope.advance(5);
        assert_eq!((rope.len(), rope.chunk()), (6, &b"ad"[..]));
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(rope.chunks_vectored(&mut slices), 2);
        assert_eq!(&*slices[1], b"body");
        assert_eq!(rope.to_vec(), b"adbody");
    }

    #[test]
    fn advancing_past_the_end_empties_the_rope() {
        let mut rope = Rope::from(&b"abc"[..]);
        rope.advance(9);
        assert!(rope.is_empty() && rope.chunk().is_empty());
    }

    #[test]
    fn appended_parts_share_their_memory() {
        let payload = Bytes::from(vec![7; 100]);
        let mut rope = Rope::from(&b"head"[..]);
        rope.append(Rope::from(payload.clone()));
        assert_eq!(rope.parts().last().map(|part| part.as_ptr()), Some(payload.as_ptr()));
    }
}
