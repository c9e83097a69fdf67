//! What of a record must be the same on both sides, boiled down to what a window of many can hold.

use twox_hash::XxHash3_128;

use crate::batch::Record;

/// A record without its offset: 128 bits each of its key, value and headers, and its timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Content {
    key: u128,
    value: u128,
    headers: u128,
    /// In ms since 1970; `None` where the target's broker set it itself.
    timestamp: Option<i64>,
}

impl Content {
    /// `own_time`: the broker set the timestamp, so that it is none of the source's.
    pub(super) fn of(record: &Record<'_>, own_time: bool) -> Self {
        Self {
            key: field(record.key),
            value: field(record.value),
            headers: headers(record),
            timestamp: (!own_time).then_some(record.timestamp),
        }
    }

    /// Whether a consumer sees the same record.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.body() == other.body() && !self.other_time(other)
    }

    /// Everything but the time.
    pub(super) fn body(&self) -> [u128; 3] {
        [self.key, self.value, self.headers]
    }

    fn other_time(&self, other: &Self) -> bool {
        matches!((self.timestamp, other.timestamp), (Some(one), Some(two)) if one != two)
    }

    /// The names of the parts that are not the same.
    pub(super) fn altered(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("key", self.key != other.key),
            ("value", self.value != other.value),
            ("headers", self.headers != other.headers),
            ("timestamp", self.other_time(other)),
        ];
        parts.into_iter().filter_map(|(name, altered)| altered.then_some(name)).collect()
    }
}

/// Null is not empty.
fn field(bytes: Option<&[u8]>) -> u128 {
    bytes.map_or(0, XxHash3_128::oneshot)
}

/// Order, duplicates and nulls count.
fn headers(record: &Record<'_>) -> u128 {
    let mut all: Option<Vec<u8>> = None;
    for (key, value) in record.headers.clone() {
        let all = all.get_or_insert_default();
        all.extend(field(Some(key)).to_le_bytes());
        all.extend(field(value).to_le_bytes());
    }
    field(all.as_deref())
}
