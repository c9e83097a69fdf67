//! The CRC-32C of bytes; and that of a batch whose header changed, from the old one: the payload is not read again.
//!
//! A CRC is a remainder of polynomials over GF(2), and so linear: two messages that differ in their first bytes only
//! have CRCs that differ by the CRCs of those bytes, multiplied by x to the number of bits behind them. What was corrupt
//! before stays corrupt after: the target's broker checks a value derived from the one that the source had stored.
//!
//! A remainder is a polynomial of a degree below 32 whose coefficients are the bits of a `u32`, as CRC-32C has them: the
//! highest bit stands for x^0. So a shift to the right multiplies by x, and where it drops x^31, the Castagnoli polynomial
//! is taken off.

use crc_fast::CrcAlgorithm;

/// The Castagnoli polynomial without its x^32.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^0, what a product begins with.
const ONE: u32 = 1 << 31;

/// `POWERS[k][n]` is x^(8 * n * 256^k) modulo the polynomial: what n * 256^k bytes behind a remainder multiply it by.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, or says where it fails")]
static POWERS: [[u32; 256]; 4] = {
    let mut powers = [[ONE; 256]; 4];
    let mut step = ONE >> 8;
    let mut k = 0;
    while k < powers.len() {
        let mut n = 1;
        while n < 256 {
            powers[k][n] = multiply(powers[k][n - 1], step);
            n += 1;
        }
        step = multiply(powers[k][255], step);
        k += 1;
    }
    powers
};

/// What x^4 makes of the four highest powers of a remainder, which are its lowest bits.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, or says where it fails")]
const WRAPPED: [u32; 16] = {
    let mut wrapped = [0; 16];
    let mut n = 0;
    while n < 16 {
        wrapped[n as usize] = times_x(times_x(times_x(times_x(n))));
        n += 1;
    }
    wrapped
};

const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ (POLYNOMIAL & (a & 1).wrapping_neg())
}

/// The product of two remainders, by Horner's rule: four powers of `a` at a time, from the highest down. No step asks for
/// a bit, which no processor could guess.
#[expect(clippy::indexing_slicing, reason = "four bits are an index below 16")]
#[expect(clippy::arithmetic_side_effects, reason = "both count to 16 at most")]
const fn multiply(mut a: u32, b: u32) -> u32 {
    // `b` times every polynomial of a degree below 4; the highest of the four bits stands for x^0.
    let mut multiples = [0; 16];
    multiples[8] = b;
    multiples[4] = times_x(multiples[8]);
    multiples[2] = times_x(multiples[4]);
    multiples[1] = times_x(multiples[2]);
    let mut n = 1;
    while n < 16_usize {
        let lowest = n & n.wrapping_neg();
        multiples[n] = multiples[n ^ lowest] ^ multiples[lowest];
        n += 1;
    }
    let mut product = 0;
    let mut step = 0;
    while step < 8 {
        product = (product >> 4) ^ WRAPPED[(product & 15) as usize] ^ multiples[(a & 15) as usize];
        a >>= 4;
        step += 1;
    }
    product
}

/// The CRC-32C of bytes, as a batch holds that of what lies behind it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    // A checksum of 32 bits comes in 64.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// The CRC-32C of some bytes followed by `tail`, given their own.
pub(super) fn append(crc: u32, tail: &[u8]) -> u32 {
    Tail::of(u32::try_from(tail.len()).unwrap_or(u32::MAX)).carry(crc) ^ crc32c(tail)
}

/// What a tail of some bytes does to a difference between the CRCs of two heads in front of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tail(u32);

impl Tail {
    /// A tail of so many bytes, whatever they are.
    pub(super) fn of(bytes: u32) -> Self {
        let power = |(powers, byte): (&[u32; 256], u8)| powers.get(usize::from(byte)).copied();
        let factors = POWERS.iter().zip(bytes.to_le_bytes()).filter(|(_, byte)| *byte > 0).filter_map(power);
        Self(factors.reduce(multiply).unwrap_or(ONE))
    }

    /// What a CRC becomes when such a tail follows, but for the tail's own CRC: the two are added up.
    pub(super) fn carry(self, crc: u32) -> u32 {
        multiply(crc, self.0)
    }

    /// The CRC-32C of `new` followed by the tail, given `whole`, that of `old` followed by it. `old` and `new` must be of
    /// one length.
    pub(super) fn replace_head(self, whole: u32, old: &[u8], new: &[u8]) -> u32 {
        debug_assert_eq!(old.len(), new.len());
        if old == new {
            return whole;
        }
        whole ^ multiply(crc32c(old) ^ crc32c(new), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tail_of_the_largest_batch_is_carried_over() {
        let zeros = vec![0_u8; 1 << 20];
        let of = |head: &[u8], megabytes: usize| {
            (0..megabytes).fold(crc32c::crc32c(head), |crc, _| crc32c::crc32c_append(crc, &zeros))
        };
        assert_eq!(Tail::of(300 << 20).replace_head(of(b"old", 300), b"old", b"new"), of(b"new", 300));
        let longest = u32::MAX;
        let by_matrix = |head: &[u8]| crc32c::crc32c_combine(crc32c::crc32c(head), 0, longest as usize);
        assert_eq!(Tail::of(longest).replace_head(by_matrix(b"old"), b"old", b"new"), by_matrix(b"new"));
    }

    proptest! {
        #[test]
        fn the_combined_crc_is_the_one_that_another_library_computes(
            heads in prop::collection::vec(any::<(u8, u8)>(), 0..64),
            tail in prop::collection::vec(any::<u8>(), 0..5_000),
        ) {
            let (old, new): (Vec<u8>, Vec<u8>) = heads.into_iter().unzip();
            let whole = |head: &[u8]| crc32c::crc32c(&[head, &tail].concat());
            let length = u32::try_from(tail.len()).expect("short");
            prop_assert_eq!(Tail::of(length).replace_head(whole(&old), &old, &new), whole(&new));
            prop_assert_eq!(crc32c(&old), crc32c::crc32c(&old));
            prop_assert_eq!(crc32c(&tail), crc32c::crc32c(&tail));
            prop_assert_eq!(append(crc32c(&new), &tail), whole(&new));
        }

        #[test]
        fn a_tail_of_any_length_does_what_the_librarys_matrices_do(old: [u8; 40], new: [u8; 40], tail: (u32, u32)) {
            let (bytes, crc) = tail;
            let whole = |head: &[u8]| crc32c::crc32c_combine(crc32c::crc32c(head), crc, bytes as usize);
            prop_assert_eq!(Tail::of(bytes).replace_head(whole(&old), &old, &new), whole(&new));
        }
    }
}
