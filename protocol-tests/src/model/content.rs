//! What records hold: everything that a copy could lose, double or bend.

use crate::lab::record::{Header, Record};

use super::choices::{Choices, Seeded};

/// The time around which most records are, ms since 1970.
pub const NOW: i64 = 1_700_000_000_000;
/// A year in ms.
const YEAR: i64 = 31_556_952_000;

/// How the times of one batch's records are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// One millisecond after the other.
    Rising,
    /// All of them -1: none.
    Absent,
    /// Zero.
    Zero,
    /// Each before the one in front of it.
    Falling,
    /// Years apart.
    YearsApart,
    /// Before 1970; no client writes them, brokers take them.
    Ancient,
    /// Every record for itself.
    Mixed,
}

const KINDS: [Times; 7] =
    [Times::Rising, Times::Absent, Times::Zero, Times::Falling, Times::YearsApart, Times::Ancient, Times::Mixed];

impl Times {
    /// One of them.
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        choices.one_of(&KINDS)
    }

    fn of(self, choices: &mut Choices<'_>, offset: i64) -> i64 {
        match self {
            Self::Rising => NOW + offset,
            Self::Absent => -1,
            Self::Zero => 0,
            Self::Falling => NOW - offset * 1_000,
            Self::YearsApart => YEAR * choices.below(70) as i64,
            Self::Ancient => -1_000 - YEAR * choices.below(3) as i64,
            Self::Mixed => choices.one_of(&KINDS[..6]).of(choices, offset),
        }
    }
}

/// The record at `offset`. Its value names the offset, so that no two are alike, unless it is a tombstone: then its key
/// does. `most`: the largest value, in bytes.
pub fn record(choices: &mut Choices<'_>, offset: i64, times: Times, most: usize) -> Record {
    let name = format!("{offset}").into_bytes();
    let key = match choices.below(5) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(name.clone()),
        3 => Some([&[0xFF, 0xC3, 0x28][..], &name].concat()),
        _ => Some(filler(choices, 200)),
    };
    let tombstone = choices.once_in(6);
    let (key, value) = match tombstone {
        true => (Some(name), None),
        false => (key, Some([name, filler(choices, most)].concat())),
    };
    let headers = if choices.once_in(3) { headers(choices) } else { Vec::new() };
    Record { offset, timestamp: times.of(choices, offset), append_time: false, key, value, headers }
}

fn headers(choices: &mut Choices<'_>) -> Vec<Header> {
    let one = |choices: &mut Choices<'_>| Header {
        key: choices.one_of(&[&b"again"[..], b"", b"again", &[0xC3, 0x28, 0]]).to_vec(),
        value: choices.one_of(&[None, Some(&b""[..]), Some(b"1"), Some(&[0, 0xFF])]).map(<[u8]>::to_vec),
    };
    (0..=choices.below(4)).map(|_| one(choices)).collect()
}

/// Mostly a few bytes, sometimes many KiB, up to `most`; some of it can be compressed and some can't.
fn filler(choices: &mut Choices<'_>, most: usize) -> Vec<u8> {
    let size = match choices.below(8) {
        0..=3 => choices.below(24),
        4 | 5 => choices.below(1_024),
        6 => choices.below(8_192),
        _ => choices.below(65_536),
    };
    let size = size.min(most);
    if choices.once_in(3) {
        return Seeded(u64::from(choices.byte())).bytes(size);
    }
    let letter = b'a' + choices.byte() % 26;
    (0..size).map(|at| if at % 13 == 0 { at as u8 } else { letter }).collect()
}
