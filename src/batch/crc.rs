//! The CRC-32C of a batch whose header changed, from the old one: the payload is not read again.
//!
//! A CRC is a remainder of polynomials over GF(2), and so linear: two messages that differ in their first bytes only
//! have CRCs that differ by the CRCs of those bytes, multiplied by x to the number of bits behind them. That power
//! takes O(log n) multiplications. What was corrupt before stays corrupt after: the target's broker checks a value
//! derived from the one that the source had stored.

/// The Castagnoli polynomial, bit-reversed: bit 31 stands for x^0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^(8 * 2^k) modulo the polynomial, for k from 0: what 2^k bytes behind a remainder multiply it by.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, or says where it fails")]
const POWERS: [u32; 32] = {
    let mut powers = [1 << 23; 32];
    let mut k = 1;
    while k < powers.len() {
        powers[k] = multiply(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
};

/// The product of two remainders.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1_u32 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
        bit >>= 1;
    }
    product
}

/// What a difference between two CRCs grows to when both messages go on with the same `bytes` bytes.
fn carry(difference: u32, bytes: u32) -> u32 {
    let set = POWERS.iter().enumerate().filter(|(k, _)| bytes >> k & 1 == 1);
    set.fold(difference, |remainder, (_, &power)| multiply(power, remainder))
}

/// The CRC-32C of `new` followed by a tail of `tail` bytes, given `whole`, that of `old` followed by the same tail.
/// `old` and `new` must be of one length.
pub(super) fn replace_head(whole: u32, old: &[u8], new: &[u8], tail: u32) -> u32 {
    debug_assert_eq!(old.len(), new.len());
    whole ^ carry(crc32c::crc32c(old) ^ crc32c::crc32c(new), tail)
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
        assert_eq!(replace_head(of(b"old", 300), b"old", b"new", 300 << 20), of(b"new", 300));
        let longest = u32::MAX;
        let by_matrix = |head: &[u8]| crc32c::crc32c_combine(crc32c::crc32c(head), 0, longest as usize);
        assert_eq!(replace_head(by_matrix(b"old"), b"old", b"new", longest), by_matrix(b"new"));
    }

    proptest! {
        #[test]
        fn the_combined_crc_is_the_recomputed_one(
            heads in prop::collection::vec(any::<(u8, u8)>(), 0..64),
            tail in prop::collection::vec(any::<u8>(), 0..5_000),
        ) {
            let (old, new): (Vec<u8>, Vec<u8>) = heads.into_iter().unzip();
            let whole = |head: &[u8]| crc32c::crc32c(&[head, &tail].concat());
            let length = u32::try_from(tail.len()).expect("short");
            prop_assert_eq!(replace_head(whole(&old), &old, &new, length), whole(&new));
        }
    }
}
