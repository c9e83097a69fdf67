//! Decisions, each taken from bytes that somebody else has made up.

/// Bytes as a source of decisions. Behind the last byte it starts over with the first; zeros, and no bytes at all, choose
/// the first of everything: a smaller input is a simpler one.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Choices<'a> {
    /// Decisions from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        if self.bytes.is_empty() {
            return 0;
        }
        let byte = self.bytes[self.at % self.bytes.len()];
        self.at += 1;
        byte
    }

    /// A number below `limit`, which is at most 65,536.
    pub fn below(&mut self, limit: usize) -> usize {
        let high = if limit > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | usize::from(self.byte())) % limit
    }

    /// Yes in one of `times` cases.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// A place between `low` and `high`, both of them possible; the lowest where nothing else was decided.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let part = i64::from(self.byte()) << 8 | i64::from(self.byte());
        low + (((high - low + 1) * part) >> 16)
    }
}

/// A generator of bytes from a seed (splitmix64), for runs that are to be repeated by their seed.
#[derive(Clone, Debug)]
pub struct Seeded(pub u64);

impl Seeded {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend(self.word().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Choices;

    #[test]
    fn zeros_choose_the_first_of_everything_and_a_range_is_reached_to_both_ends() {
        let mut zeros = Choices::new(&[]);
        assert_eq!((zeros.below(9), zeros.once_in(2), zeros.between(5, 9), zeros.one_of(&[3, 4])), (0, false, 5, 3));
        assert_eq!(Choices::new(&[255]).between(5, 9), 9);
        assert_eq!(Choices::new(&[1, 44]).below(1_000), 300);
    }
}
